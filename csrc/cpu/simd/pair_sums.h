// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <vector>

namespace fused_rankloss::cpu {

// What the pairs of a list add up to, besides their gradients.
struct PairSums {
  double value = 0;  // sum of pair weight * value
  double slope = 0;  // sum of pair weight * slope, the derivative with respect to the margin

  void add(const PairSums& other) {
    value += other.value;
    slope += other.slope;
  }
};

inline PairSums sum_of(const std::vector<PairSums>& parts) {
  PairSums total;
  for (const PairSums& part : parts) total.add(part);
  return total;
}

}  // namespace fused_rankloss::cpu
