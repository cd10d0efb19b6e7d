// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "args/list_inputs.h"
#include "common/half.h"

namespace fused_rankloss::cuda {

// A slot's score, of whatever storage type, and its weight.
template <typename Real>
FRL_HD Real load_score(const ListInputs& args, int64_t slot) {
  switch (args.score_type) {
    case ScoreType::kHalf:
      return to_float(static_cast<const Half*>(args.scores)[slot]);
    case ScoreType::kBFloat16:
      return to_float(static_cast<const BFloat16*>(args.scores)[slot]);
    default:
      return static_cast<const Real*>(args.scores)[slot];
  }
}

template <typename Real>
FRL_HD Real load_weight(const ListInputs& args, int64_t slot) {
  return args.weights ? static_cast<const Real*>(args.weights)[slot] : Real(1);
}

}  // namespace fused_rankloss::cuda
