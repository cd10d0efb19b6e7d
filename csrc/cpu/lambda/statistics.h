// SPDX-License-Identifier: BSD-3-Clause
//
// How well a list is ordered: the number of its pairs with different labels, and how many of them
// the scores order correctly, with 1/2 for ties. For two grades their ratio is the AUC.
//
// One walk in the order of ranks with a Fenwick tree over the grades of the items passed, in O(n
// log L) time. An item is in correct order with all items above it of a higher grade. Querying the
// tree both before and after an item's ties have entered counts every tie once out of two times.
#pragma once

#include <cmath>

#include "common/workspace.h"
#include "cpu/lists/ranked_list.h"

namespace fused_rankloss::cpu::lambda {

// `tree` is scratch for [grades + 1]. Writes the first two of the list's statistics.
template <typename Score>
void count_ordered_pairs(const RankedList<Score>& list, int64_t* tree, double* statistics) {
  double pairs = 0;
  for (int64_t grade = 1; grade < list.num_grades; ++grade) {
    pairs += static_cast<double>(list.grade_starts[grade]) *
             (list.grade_starts[grade + 1] - list.grade_starts[grade]);
  }
  std::fill(tree, tree + list.num_grades + 1, 0);
  const auto add = [&](int64_t grade) {
    for (int64_t at = grade + 1; at <= list.num_grades; at += at & -at) ++tree[at];
  };
  // The number of items in the tree of this grade or a lower one.
  const auto up_to = [&](int64_t grade) {
    int64_t count = 0;
    for (int64_t at = grade + 1; at > 0; at -= at & -at) count += tree[at];
    return count;
  };
  int64_t twice_ordered = 0;
  for (int64_t begin = 0, end = 0; begin < list.size; begin = end) {
    while (end < list.size && list.score[end] == list.score[begin]) ++end;
    for (int64_t r = begin; r < end; ++r) twice_ordered += begin - up_to(list.grade[r]);
    for (int64_t r = begin; r < end; ++r) add(list.grade[r]);
    for (int64_t r = begin; r < end; ++r) twice_ordered += end - up_to(list.grade[r]);
  }
  statistics[0] = pairs;
  statistics[1] = static_cast<double>(twice_ordered) / 2;
}

}  // namespace fused_rankloss::cpu::lambda
