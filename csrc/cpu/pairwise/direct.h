// SPDX-License-Identifier: BSD-3-Clause
//
// The pairs of a few hundred items, compared one by one (pair_loops.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "common/ordered.h"
#include "cpu/lists/label_order.h"
#include "cpu/lists/policy.h"
#include "cpu/simd/pair_loops.h"

namespace fused_rankloss::cpu::pairwise {

// Items in ascending label order, cut into grades.
template <typename Score, int kCapacity>
struct DirectItems {
  int size = 0;
  int num_grades = 0;
  int32_t starts[kCapacity + 1];  // of the grades
  int64_t index[kCapacity];       // slot in the list
  Score score[kCapacity];

  PairGrades grades() const { return {starts, num_grades}; }
};

// Stable counting sort of a block by label, or a comparison sort if labels span many values.
template <typename Score, int kCapacity>
void order_by_label(const Block<Score>& block, DirectItems<Score, kCapacity>& items) {
  ListSummary summary;
  summary.add(block);
  items.size = block.size;
  items.num_grades = 0;
  const auto place = [&](int32_t from, int32_t to) {
    items.index[to] = block.position[from];
    items.score[to] = block.score[from];
  };
  if (block.size > 0 && summary.label_span() == 1 && summary.integers) {
    // Two grades, the most frequent case, need no counters in memory.
    int32_t lower = 0, upper = 0;
    for (int t = 0; t < block.size; ++t) upper += block.label[t] == summary.min_label;
    items.starts[0] = 0;
    items.starts[1] = upper;
    items.num_grades = 2;
    for (int t = 0; t < block.size; ++t) {
      const int32_t is_upper = block.label[t] != summary.min_label;
      place(t, lower + ((upper - lower) & -is_upper));  // random: select without a branch
      upper += is_upper;
      lower += 1 - is_upper;
    }
  } else if (block.size > 0 && summary.countable()) {
    int32_t next[kCountedGrades];
    const int span = static_cast<int>(summary.label_span());
    std::fill(next, next + span + 1, 0);
    for (int t = 0; t < block.size; ++t) ++next[block.label[t] - summary.min_label];
    int32_t start = 0;
    for (int grade = 0; grade <= span; ++grade) {
      if (next[grade] > 0) items.starts[items.num_grades++] = start;
      start += std::exchange(next[grade], start);
    }
    for (int t = 0; t < block.size; ++t) place(t, next[block.label[t] - summary.min_label]++);
  } else {
    int32_t order[kCapacity];
    for (int t = 0; t < block.size; ++t) order[t] = t;
    std::stable_sort(order, order + block.size,
                     [&](int a, int b) { return block.label[a] < block.label[b]; });
    for (int t = 0; t < block.size; ++t) {
      if (t == 0 || block.label[order[t]] != block.label[order[t - 1]]) {
        items.starts[items.num_grades++] = t;
      }
      place(order[t], t);
    }
  }
  items.starts[items.num_grades] = block.size;
}

// Hinge without weights: gradients are counts, and the value follows from them. Calls store(t,
// count). The value is NaN if it would be mostly cancellation error, because the scores lie too far
// apart: for example with the -1e30 of an item that is to be ignored.
template <int kCapacity, typename Store>
PairSums count_pairs_directly(const DirectItems<float, kCapacity>& items, double margin,
                              bool inclusive, Store&& store) {
  float reaches[kCapacity];
  int32_t counts[kCapacity];
  const int64_t violations = pair_loops().count_violations(items.score, margin, inclusive,
                                                           items.grades(), reaches, counts);
  // sum (margin + s_j - s_i) over the violated pairs. The counts sum to 0, so any centre may be
  // subtracted from the scores. One of the scores as centre removes an offset that all share.
  const double center = items.size > 0 ? items.score[0] : 0;
  double sums[4] = {margin * static_cast<double>(violations)};
  double magnitudes[4] = {std::fabs(sums[0])};
  const auto add = [&](int t, int lane) {
    const double term = counts[t] * (static_cast<double>(items.score[t]) - center);
    sums[lane] += term;
    magnitudes[lane] += std::fabs(term);
  };
  const int whole = items.size - items.size % 4;
  for (int t = 0; t < whole; t += 4) {
    for (int lane = 0; lane < 4; ++lane) add(t + lane, lane);
  }
  for (int t = whole; t < items.size; ++t) add(t, t - whole);
  for (int t = 0; t < items.size; ++t) store(t, counts[t]);
  const double value = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  const double magnitude = (magnitudes[0] + magnitudes[1]) + (magnitudes[2] + magnitudes[3]);
  // At most kCapacity roundings of 2^-53 of the magnitude each: together 2^-26 of such a value.
  static_assert(kCapacity <= 512);
  const bool reliable = value >= magnitude * 0x1p-18;
  return {reliable ? value : std::nan(""), static_cast<double>(violations)};
}

// Any loss, in fp64. Calls store(t, gradient).
template <typename Loss, typename Score, int kCapacity, typename Store>
PairSums sum_pairs_directly(const DirectItems<Score, kCapacity>& items,
                            const ListWeights<Score>& weights, double margin, double boundary_grad,
                            Store&& store) {
  double score[kCapacity], more[kCapacity], less[kCapacity], grads[kCapacity];
  for (int t = 0; t < items.size; ++t) {
    score[t] = items.score[t];
    more[t] = weights.more(items.index[t]);
    less[t] = weights.less(items.index[t]);
    grads[t] = 0;
  }
  const PairSums sums = pair_loops().sum_pairs_of<Loss>()(score, margin, more, less, boundary_grad,
                                                          items.grades(), grads);
  for (int t = 0; t < items.size; ++t) store(t, grads[t]);
  return sums;
}

}  // namespace fused_rankloss::cpu::pairwise
