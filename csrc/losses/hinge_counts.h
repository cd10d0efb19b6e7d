// SPDX-License-Identifier: BSD-3-Clause
//
// The unweighted hinge of a list with few different scores, by counting. Items of one grade and one
// score form pairs with the same items. With n_l(a, b) the number of items of grade l whose score
// is at least the a-th and below the b-th of the distinct ones, an item of grade l with the t-th
// score violates the margin with
//
//   c_l = sum_{l' < l} n_l'(first, end)     less relevant items, `first` the first score that with
//                                           the margin reaches the t-th
//   k_l = sum_{l' > l} n_l'(0, last)        more relevant items, `last` the first score beyond the
//                                           reach of the t-th one                              (1)
//
// so that its gradient is k_l - c_l. With N_l = n_l(t, t + 1), the items of that score add
//
//   m sum_l N_l c_l  +  s_t sum_l N_l (k_l - c_l)                                              (2)
//
// to the loss. Both sums are integers; only their products with m and s_t are rounded. Which scores
// reach which is decided exactly (common/ordered.h).
#pragma once

#include <cstdint>

#include "common/compensated_sum.h"

namespace fused_rankloss {

// The bounds of the ranges of scores in (1).
struct ScoreReach {
  uint32_t first;
  uint32_t last;
};

// The sums of (2).
struct HingeCounts {
  int64_t violations = 0;
  int64_t gradient = 0;

  FRL_HD void add_value(double margin, double score, CompensatedSum& value) const {
    add_product(violations, margin, value);
    add_product(gradient, score, value);
  }

 private:
  // Numbers of pairs may need more bits than the mantissa of fp64 has.
  FRL_HD static void add_product(int64_t count, double factor, CompensatedSum& value) {
    if (count == 0) return;  // avoids 0 times infinity
    const double high = static_cast<double>(count);
    value.add_product(high, factor);
    const int64_t low = count - static_cast<int64_t>(high);
    if (low != 0) value.add_product(static_cast<double>(low), factor);
  }
};

// (1) for the t-th of `num_scores` distinct scores: calls store(grade, gradient) for all grades.
// below(grade, t) is the number of the grade's items below the t-th score, for t <= num_scores.
template <typename Below, typename Store>
FRL_HD HingeCounts count_violations(int num_grades, uint32_t num_scores, uint32_t t,
                                    ScoreReach reach, Below&& below, Store&& store) {
  int64_t more = 0, less = 0;
  for (int grade = 0; grade < num_grades; ++grade) more += below(grade, reach.last);
  HingeCounts counts;
  for (int grade = 0; grade < num_grades; ++grade) {
    more -= below(grade, reach.last);
    const int64_t gradient = more - less;
    const int64_t items = below(grade, t + 1) - below(grade, t);
    counts.violations += items * less;
    counts.gradient += items * gradient;
    store(grade, gradient);
    less += below(grade, num_scores) - below(grade, reach.first);
  }
  return counts;
}

}  // namespace fused_rankloss
