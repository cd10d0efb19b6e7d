// SPDX-License-Identifier: BSD-3-Clause
//
// The leaves of the merge sort by label before the first round: count the pairs of grades, gather
// leaves of several grades for direct comparison, and sort each leaf by score.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/lists/label_order.h"
#include "cpu/lists/merge_rounds.h"
#include "cpu/pairwise/direct.h"

namespace fused_rankloss::cpu::pairwise {

inline int64_t index_of(int64_t index) { return index; }

template <typename ItemKey>
int64_t index_of(const Item<ItemKey>& item) {
  return static_cast<int64_t>(item.index);
}

// Adds a grade of items, or of their indices, to the number of pairs.
template <class Weights, typename Index>
void count_grade(const Weights& weights, const Index* begin, const Index* end,
                 PairCounter& counter) {
  double more = static_cast<double>(end - begin), less = more;
  if (weights.reader.weighted()) {
    more = 0;
    for (const Index* item = begin; item < end; ++item) more += weights.checked(index_of(*item));
    if (!weights.reader.preferred()) less = more;
  }
  counter.add_grade(more, less);
}

template <typename Score, int kCapacity, typename Key>
void gather_leaf(const Leaf& leaf, const GradeTable<Key>& table, const Item<Key>* items,
                 DirectItems<Score, kCapacity>& direct) {
  direct.size = static_cast<int>(leaf.end - leaf.begin);
  direct.num_grades = static_cast<int>(leaf.num_grades);
  for (int grade = 0; grade < direct.num_grades; ++grade) {
    direct.starts[grade] =
        static_cast<int32_t>(table.grade_starts[leaf.first_grade + grade] - leaf.begin);
  }
  direct.starts[direct.num_grades] = direct.size;
  for (int t = 0; t < direct.size; ++t) {
    direct.index[t] = items[leaf.begin + t].index;
    direct.score[t] = value_of_key(items[leaf.begin + t].key);
  }
}

template <typename Key>
void sort_segment(const Range& segment, const Runs<Key>& runs, const ThreadTeam& team) {
  Item<Key>* items = runs.items + segment.begin;
  const Item<Key>* sorted = radix_sort(items, runs.scratch + segment.begin, segment.size(), team);
  if (sorted != items) std::copy(sorted, sorted + segment.size(), items);
}

// Long segments one after another by all threads together, the others by one thread each.
template <typename Key>
void sort_segments(const std::vector<Range>& segments, const Runs<Key>& runs,
                   const ThreadTeam& team) {
  const auto is_shared = [&](const Range& segment) {
    return team.size() > 1 && segment.size() >= radix::kParallelSort;
  };
  for (const Range& segment : segments) {
    if (is_shared(segment)) sort_segment(segment, runs, team);
  }
  team.run(segments.size(), [&](int64_t task, int) {
    if (!is_shared(segments[task])) sort_segment(segments[task], runs, ThreadTeam::single());
  });
}

}  // namespace fused_rankloss::cpu::pairwise
