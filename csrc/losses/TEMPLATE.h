// SPDX-License-Identifier: BSD-3-Clause
//
// A pair loss to start from: copy it to <name>.h, and list it in pair_losses.h. CONTRIBUTING.md has
// the other steps. This file is compiled nowhere.
#pragma once

#include "losses/gap_moments.h"

namespace fused_rankloss {

// What it is. With gap = margin - (s_i - s_j) for label_i > label_j:
//
//   value = ...        slope = d value / d gap = ...
//
// Its domain, what it does at gap = 0 and at large gaps, and whatever about its numerics surprises.
struct Template {
  static constexpr const char* kName = "template";

  // The slope is 0 or 1, but for `boundary` at gap = 0: gradients without weights are counts.
  static constexpr bool kSlopeIsIndicator = false;

  // Of one pair, in float or double.
  template <typename Real>
  FRL_HD static Real value(Real gap);
  template <typename Real>
  FRL_HD static Real slope(Real gap, Real boundary);

  // Of one item against all that it violates the margin with, from the moments of their gaps:
  // losses that are polynomials of degree <= 2 where gap > 0, and 0 elsewhere.
  FRL_HD static double value_sum(const GapMoments& violating);
  FRL_HD static double slope_sum(const GapMoments& violating);
};

}  // namespace fused_rankloss
