// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "args/listwise.h"

namespace fused_rankloss::cuda::listwise {

// Calls `body.operator()<kLoss, Real>()` with what a call needs.
template <typename Body>
void dispatch_listwise(const ListwiseArgs& args, Body&& body) {
  const auto with_real = [&]<ListwiseLoss kLoss>() {
    if (args.score_type == ScoreType::kDouble) {
      body.template operator()<kLoss, double>();
    } else {
      body.template operator()<kLoss, float>();
    }
  };
  switch (args.loss_kind) {
    case ListwiseLoss::kListNet:
      return with_real.template operator()<ListwiseLoss::kListNet>();
    case ListwiseLoss::kListMle:
      return with_real.template operator()<ListwiseLoss::kListMle>();
    default:
      return with_real.template operator()<ListwiseLoss::kApproxNdcg>();
  }
}

}  // namespace fused_rankloss::cuda::listwise
