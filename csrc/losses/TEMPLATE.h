// SPDX-License-Identifier: BSD-3-Clause
//
// Template of a pair loss: copy it to <name>.h, and list it in pair_losses.h. CONTRIBUTING.md has
// the other steps. This file is not compiled.
#pragma once

#include "losses/gap_moments.h"

namespace fused_rankloss {

// What it is. With gap = margin - (s_i - s_j) for label_i > label_j:
//
//   value = ...        slope = d value / d gap = ...
//
// Its domain, its behaviour at gap = 0 and at large gaps, and any surprising numerics.
struct Template {
  static constexpr const char* kName = "template";

  // The slope is 0 or 1, except at gap = 0, where it is `boundary`: gradients without weights are
  // counts.
  static constexpr bool kSlopeIsIndicator = false;

  // For one pair, in float or double.
  template <typename Real>
  FRL_HD static Real value(Real gap);
  template <typename Real>
  FRL_HD static Real slope(Real gap, Real boundary);

  // The sum over all pairs in which one item violates the margin, from the moments of their gaps:
  // for losses that are polynomials of degree <= 2 where gap > 0, and 0 elsewhere.
  FRL_HD static double value_sum(const GapMoments& violating);
  FRL_HD static double slope_sum(const GapMoments& violating);
};

}  // namespace fused_rankloss
