// SPDX-License-Identifier: BSD-3-Clause
//
// One pair's term of a lambda loss. The hinges are those of hinge.h and squared_hinge.h, with the
// slope of torch.clamp at the boundary. The scores are subtracted before the margin is added: a
// large margin would absorb small differences.
#pragma once

#include "losses/hinge.h"
#include "losses/squared_hinge.h"

namespace fused_rankloss {

struct LambdaTerm {
  double value;
  double slope;  // -d value / d D, over sigma for the logistic loss
};

struct LambdaTermArgs {
  double sigma;
  double margin;
};

template <typename Loss>
struct GapTerm {
  FRL_HD static LambdaTerm term(double more, double less, const LambdaTermArgs& args) {
    const double gap = args.margin - (more - less);
    return {Loss::value(gap), Loss::slope(gap, 1.0)};
  }
};

}  // namespace fused_rankloss
