// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "losses/gap_moments.h"

namespace fused_rankloss {

// All-pairs squared hinge. With gap = margin - (s_i - s_j) for label_i > label_j:
//
//   value = max(0, gap)^2        slope = d value / d gap = 2 max(0, gap)
//
// The slope is continuous, so there is no boundary convention to choose.
struct SquaredHinge {
  static constexpr const char* kName = "squared_hinge";
  static constexpr bool kSlopeIsIndicator = false;

  template <typename Real>
  FRL_HD static Real value(Real gap) {
    return gap > 0 ? gap * gap : Real(0);
  }

  template <typename Real>
  FRL_HD static Real slope(Real gap, Real /*boundary*/) {
    return gap > 0 ? 2 * gap : Real(0);
  }

  FRL_HD static double value_sum(const GapMoments& violating) { return violating.second; }
  FRL_HD static double slope_sum(const GapMoments& violating) { return 2 * violating.first; }
};

}  // namespace fused_rankloss
