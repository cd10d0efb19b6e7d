// SPDX-License-Identifier: BSD-3-Clause
//
// One pair's term of a lambda loss. The hinges are those of hinge.h and squared_hinge.h with the
// slope at the boundary that torch.clamp has; the gap is the sum that cpu/lambda_sweep.h compares.
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
    const double gap = (less + args.margin) - more;
    return {Loss::value(gap), Loss::slope(gap, 1.0)};
  }
};

}  // namespace fused_rankloss
