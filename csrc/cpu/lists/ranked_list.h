// SPDX-License-Identifier: BSD-3-Clause
//
// A list in the order of its ranks: by score descending, then by position. All arrays are indexed
// by rank, from 0, and hold real items only. Grades (the different labels, in ascending order) are
// numbered from 0.
//
// Time O(n log n), memory O(n).
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/workspace.h"
#include "cpu/lists/label_order.h"
#include "cpu/lists/policy.h"
#include "losses/gains.h"

namespace fused_rankloss::cpu {

template <typename Score>
class RankedList {
 public:
  using Key = decltype(ordered_key(Score{}));

  RankedList(Workspace& workspace, int64_t slots)
      : score(workspace.take<double>(slots)),
        weight(workspace.take<double>(slots)),
        gain(workspace.take<double>(slots)),
        grad(workspace.take<double>(slots)),
        position(workspace.take<int32_t>(slots)),
        grade(workspace.take<int32_t>(slots)),
        by_grade(workspace.take<int32_t>(slots)),
        grade_starts(workspace.take<int32_t>(slots + 1)),
        grade_label(workspace.take<double>(slots)),
        items_(workspace.take<Item<Key>>(slots)),
        scratch_(workspace.take<Item<Key>>(slots)),
        keys_(workspace.take<int64_t>(slots)),
        distinct_(workspace.take<int64_t>(slots)) {}

  // False if a NaN or an invalid weight poisons the list.
  bool read(const ListReader<Score>& reader, Range slots, LabelType type, const ThreadTeam& team) {
    size = 0;
    finite = true;
    num_grades = 0;
    bool has_nan = false;
    ListSummary summary;
    for_blocks(reader, slots.begin, 0, slots.size(), LabelKeys::kIntegers,
               [&](const Block<Score>& block, int64_t slot) {
                 summary.add(block);
                 for (int t = 0; t < block.size; ++t) {
                   const int64_t index = slot + block.position[t];
                   items_[size++] = {static_cast<Key>(~ordered_key(block.score[t])),
                                     static_cast<Key>(index)};
                   keys_[index] = block.label[t];
                 }
                 for (int t = 0; !block.finite && t < block.size; ++t) {
                   has_nan |= std::isnan(block.score[t]);
                 }
               });
    finite = summary.finite;
    if (!summary.integers) {
      for_blocks(reader, slots.begin, 0, slots.size(), LabelKeys::kOrdered,
                 [&](const Block<Score>& block, int64_t slot) {
                   for (int t = 0; t < block.size; ++t) {
                     keys_[slot + block.position[t]] = block.label[t];
                     has_nan |= is_nan_label(block.label[t], type);
                   }
                 });
    }
    if (has_nan) return false;
    const Item<Key>* sorted = radix_sort(items_, scratch_, size, team);
    for (int64_t r = 0; r < size; ++r) {
      position[r] = static_cast<int32_t>(sorted[r].index);
      score[r] = value_of_key(static_cast<Key>(~sorted[r].key));
      grad[r] = 0;
    }
    find_grades(summary, type);
    bool valid = true;
    for (int64_t r = 0; r < size; ++r) {
      weight[r] = reader.more_weight(slots.begin + position[r]);
      valid &= is_weight(weight[r]);
    }
    return valid;
  }

  // False if a gain is NaN or infinite. `given` is indexed by slot from `first_slot` on, or null.
  bool read_gains(Gain kind, const double* given, int64_t first_slot) {
    bool all_finite = true;
    rising = true;
    const double top = num_grades > 0 ? grade_label[num_grades - 1] : 0;
    double below = -std::numeric_limits<double>::infinity();
    for (int64_t t = 0; t < num_grades; ++t) {
      const double own = given == nullptr ? gain_of(kind, grade_label[t], top) : 0;
      double highest = below;
      for (int64_t at = grade_starts[t]; at < grade_starts[t + 1]; ++at) {
        const int32_t r = by_grade[at];
        gain[r] = given == nullptr ? own : given[first_slot + position[r]];
        all_finite &= std::isfinite(gain[r]);
        rising &= gain[r] >= below;
        highest = std::max(highest, gain[r]);
      }
      below = highest;
    }
    return all_finite;
  }

  // Uses the labels as gains. False if one is infinite.
  bool read_labels_as_gains() {
    for (int64_t r = 0; r < size; ++r) gain[r] = grade_label[grade[r]];
    return size == 0 ||
           (std::isfinite(grade_label[0]) && std::isfinite(grade_label[num_grades - 1]));
  }

  int64_t size = 0;
  int64_t num_grades = 0;
  bool finite = true;  // no score is infinite
  bool rising = true;  // the gains that were read never fall as labels rise
  double* score;       // exact for fp32 and narrower types
  double* weight;      // of the item
  double* gain;        // after read_gains or read_labels_as_gains
  double* grad;        // accumulator, 0 at first
  int32_t* position;   // slot in the list
  int32_t* grade;
  int32_t* by_grade;      // ranks in ascending order of grade, then of rank
  int32_t* grade_starts;  // [num_grades + 1], in by_grade
  double* grade_label;    // [num_grades]

 private:
  void find_grades(const ListSummary& summary, LabelType type) {
    if (size == 0) {
      grade_starts[0] = 0;
      return;
    }
    const auto add_grade = [&](int64_t key) {
      grade_label[num_grades] =
          summary.integers ? static_cast<double>(key) : label_value(key, type);
      return static_cast<int32_t>(num_grades++);
    };
    if (summary.countable()) {
      int32_t grade_of[kCountedGrades];
      std::fill(grade_of, grade_of + summary.num_grades(), -1);
      for (int64_t r = 0; r < size; ++r) grade_of[keys_[position[r]] - summary.min_label] = 0;
      for (int64_t t = 0; t < summary.num_grades(); ++t) {
        if (grade_of[t] == 0) grade_of[t] = add_grade(summary.min_label + t);
      }
      for (int64_t r = 0; r < size; ++r) {
        grade[r] = grade_of[keys_[position[r]] - summary.min_label];
      }
    } else {
      for (int64_t r = 0; r < size; ++r) distinct_[r] = keys_[position[r]];
      std::sort(distinct_, distinct_ + size);
      const int64_t count = std::unique(distinct_, distinct_ + size) - distinct_;
      for (int64_t t = 0; t < count; ++t) add_grade(distinct_[t]);
      for (int64_t r = 0; r < size; ++r) {
        grade[r] = static_cast<int32_t>(
            std::lower_bound(distinct_, distinct_ + count, keys_[position[r]]) - distinct_);
      }
    }
    // Counting sort: counts, then where each grade ends, then filled from the back.
    std::fill(grade_starts, grade_starts + num_grades + 1, 0);
    for (int64_t r = 0; r < size; ++r) ++grade_starts[grade[r]];
    for (int64_t t = 1; t < num_grades; ++t) grade_starts[t] += grade_starts[t - 1];
    grade_starts[num_grades] = static_cast<int32_t>(size);
    for (int64_t r = size - 1; r >= 0; --r) {
      by_grade[--grade_starts[grade[r]]] = static_cast<int32_t>(r);
    }
  }

  Item<Key>* items_;
  Item<Key>* scratch_;
  int64_t* keys_;  // of labels, by slot in the list
  int64_t* distinct_;
};

// The maximal DCG at rank k, over all orders of the list.
template <typename Score>
double max_dcg(const RankedList<Score>& list, const double* discount, int64_t k,
               bool gains_by_label, double* scratch) {
  const int64_t ranks = std::min(k, list.size);
  double sum = 0;
  if (gains_by_label) {
    for (int64_t r = 0; r < ranks; ++r) {
      sum += list.gain[list.by_grade[list.size - 1 - r]] * discount[r];
    }
    return sum;
  }
  std::copy(list.gain, list.gain + list.size, scratch);
  std::sort(scratch, scratch + list.size);
  for (int64_t r = 0; r < ranks; ++r) sum += scratch[list.size - 1 - r] * discount[r];
  return sum;
}

}  // namespace fused_rankloss::cpu
