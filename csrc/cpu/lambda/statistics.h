// SPDX-License-Identifier: BSD-3-Clause
//
// How well a list is ordered: the number of its pairs with different labels, and how many of them
// the scores order rightly, with 1/2 for ties. For two levels their ratio is the AUC.
//
// One walk in the order of ranks with a Fenwick tree over the levels of the items passed, in
// O(n log L) time: an item is ordered rightly with all of a higher level above it. Asking before
// and after its ties have entered the tree counts every tie once of two times.
#pragma once

#include <cmath>

#include "common/workspace.h"
#include "cpu/lists/ranked_list.h"

namespace fused_rankloss::cpu::lambda {

// `tree` is scratch for [levels + 1]. Writes the first two of the list's statistics.
template <typename Score>
void count_ordered_pairs(const RankedList<Score>& list, int64_t* tree, double* statistics) {
  double pairs = 0;
  for (int64_t level = 1; level < list.num_levels; ++level) {
    pairs += static_cast<double>(list.level_starts[level]) *
             (list.level_starts[level + 1] - list.level_starts[level]);
  }
  std::fill(tree, tree + list.num_levels + 1, 0);
  const auto add = [&](int64_t level) {
    for (int64_t at = level + 1; at <= list.num_levels; at += at & -at) ++tree[at];
  };
  // Items that entered of a level up to this one.
  const auto up_to = [&](int64_t level) {
    int64_t count = 0;
    for (int64_t at = level + 1; at > 0; at -= at & -at) count += tree[at];
    return count;
  };
  int64_t twice_ordered = 0;
  for (int64_t begin = 0, end = 0; begin < list.size; begin = end) {
    while (end < list.size && list.score[end] == list.score[begin]) ++end;
    for (int64_t r = begin; r < end; ++r) twice_ordered += begin - up_to(list.level[r]);
    for (int64_t r = begin; r < end; ++r) add(list.level[r]);
    for (int64_t r = begin; r < end; ++r) twice_ordered += end - up_to(list.level[r]);
  }
  statistics[0] = pairs;
  statistics[1] = static_cast<double>(twice_ordered) / 2;
}

}  // namespace fused_rankloss::cpu::lambda
