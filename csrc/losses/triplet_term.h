// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>

#include "common/platform.h"

namespace fused_rankloss {

// The term of one triplet in the loss. With gap = distance(a, p) - distance(a, n) + margin:
//
//   hinge      value = max(0, gap)           slope = [gap > 0] + boundary * [gap = 0]
//   softplus   value = ln(1 + e^gap)         slope = 1 / (1 + e^-gap)              (margin 0)
//
// A NaN gap makes both NaN.
struct TripletTerm {
  double margin = 0;
  double boundary = 0;
  bool soft = false;

  FRL_HD double gap(double positive, double negative) const { return positive - negative + margin; }

  FRL_HD double value(double gap) const {
    const double above = gap <= 0 ? 0.0 : gap;
    return soft ? above + log1p(exp(-fabs(gap))) : above;
  }

  // d value / d gap
  FRL_HD double slope(double gap) const {
    if (soft) {
      // The exponential of a positive number could overflow.
      const double decay = exp(-fabs(gap));
      return (gap < 0 ? decay : 1.0) / (1 + decay);
    }
    if (gap == 0) return boundary;
    return gap > 0 ? 1.0 : (gap < 0 ? 0.0 : gap);
  }
};

}  // namespace fused_rankloss
