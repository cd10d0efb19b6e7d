// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "losses/gap_moments.h"

namespace fused_rankloss {

// All-pairs hinge. With gap = margin - (s_i - s_j) for label_i > label_j:
//
//   value = max(0, gap)        slope = d value / d gap = [gap > 0] + boundary * [gap = 0]
//
// The slope is an indicator: without weights a gradient is a number of pairs, an exact integer.
struct Hinge {
  static constexpr const char* kName = "hinge";
  static constexpr bool kSlopeIsIndicator = true;

  template <typename Real>
  FRL_HD static Real value(Real gap) {
    return gap > 0 ? gap : Real(0);
  }

  template <typename Real>
  FRL_HD static Real slope(Real gap, Real boundary) {
    return gap > 0 ? Real(1) : (gap == 0 ? boundary : Real(0));
  }

  FRL_HD static double value_sum(const GapMoments& violating) { return violating.first; }
  FRL_HD static double slope_sum(const GapMoments& violating) { return violating.count; }
};

}  // namespace fused_rankloss
