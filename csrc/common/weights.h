// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/platform.h"

namespace fused_rankloss {

// Weights are finite and not negative. Any other weight makes its list NaN, even if the item is in
// no pair.
FRL_HD bool is_weight(double weight) { return weight >= 0 && weight - weight == 0; }

// What a term counts: nothing with a weight of 0, even if it is infinite.
FRL_HD double weighted(double weight, double term) {
  const double product = weight * term;
  return weight != 0 ? product : 0;
}

}  // namespace fused_rankloss
