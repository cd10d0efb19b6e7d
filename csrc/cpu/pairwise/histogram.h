// SPDX-License-Identifier: BSD-3-Clause
//
// The unweighted hinge of a long list with 16-bit scores, without sorting: a histogram counts items
// by grade and score, the equations of losses/hinge_counts.h give each grade and score its
// gradient, and every item looks up its own. Two passes over the items; no other work or memory
// grows with their number.
//
// Counts are integers, so that the ranges into which counting is split do not change a result.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "args/pairwise.h"
#include "common/half_keys.h"
#include "cpu/lists/label_order.h"
#include "cpu/pairwise/policy.h"
#include "cpu/simd/pair_sums.h"
#include "losses/hinge_counts.h"

namespace fused_rankloss::cpu::pairwise {

inline bool may_be_histogram_list(const PairwiseArgs& args, Range slots) {
  return is_half(args.score_type) && slots.size() >= kHistogramList;
}

inline bool has_histogram_grades(const ListSummary& summary) {
  return summary.num_items > 0 && summary.countable() && summary.num_grades() <= kHistogramGrades;
}

class Histogram {
 public:
  Histogram(const PairwiseArgs& args, const ListReader<float>& reader, Range slots,
            const ListSummary& summary, const ThreadTeam& team)
      : reader_(reader),
        // Only the bits are read, which both 16-bit types have in common.
        scores_(static_cast<const Half*>(args.scores) + slots.begin),
        slots_(slots),
        lowest_label_(summary.min_label),
        num_grades_(summary.num_grades()),
        masked_(args.lists.mask != nullptr),
        team_(team) {
    sum_scores(count_items(), args.score_type);
  }

  // Whether a score is NaN, or items of different labels have the same infinite score.
  bool poisoned() const { return poisoned_; }
  // Whether all scores are finite, if the list is not poisoned.
  bool finite() const { return std::isfinite(score_.front()) && std::isfinite(score_.back()); }

  double pairs() const {
    PairCounter counter;
    for (int64_t grade = 0; grade < num_grades_; ++grade) {
      const double items = static_cast<double>(below(grade, num_scores()));
      counter.add_grade(items, items);
    }
    return counter.pairs();
  }

  // `grad` (or null) points at the gradient of the list's first slot.
  template <typename Count>
  PairSums solve(double margin, bool inclusive, Count* grad) const {
    std::vector<Count> gradients(grad != nullptr ? num_grades_ * kHalfKeys : 0);
    std::vector<float> reached(num_scores());
    for (uint32_t t = 0; t < num_scores(); ++t) reached[t] = reach(score_[t], margin, inclusive);
    CompensatedSum value;
    int64_t violations = 0;
    ScoreReach ends{0, 0};
    for (uint32_t t = 0; t < num_scores(); ++t) {
      while (ends.first < num_scores() && !(score_[t] <= reached[ends.first])) ++ends.first;
      while (ends.last < num_scores() && score_[ends.last] <= reached[t]) ++ends.last;
      const HingeCounts counts = count_violations(
          static_cast<int>(num_grades_), num_scores(), t, ends,
          [&](int grade, uint32_t score) { return below(grade, score); },
          [&](int grade, int64_t gradient) {
            if (grad != nullptr) {
              gradients[grade * kHalfKeys + key_[t]] = static_cast<Count>(gradient);
            }
          });
      counts.add_value(margin, static_cast<double>(score_[t]), value);
      violations += counts.violations;
    }
    if (grad != nullptr) store(gradients, grad);
    // Each violated pair adds at least 0: a sum below 0 is rounding error.
    return {value.total() < 0 ? 0 : value.total(), static_cast<double>(violations)};
  }

 private:
  uint32_t num_scores() const { return static_cast<uint32_t>(key_.size()); }
  int64_t below(int64_t grade, uint32_t score) const { return below_[score * num_grades_ + grade]; }

  // Calls body(first slot, block, cells of its items) for blocks of slots in a range of the list. A
  // cell of the histogram is a grade and a score.
  template <typename Body>
  void for_cells(Range range, Body&& body) const {
    Block<float> block;
    uint32_t cell[kBlock];
    for (int64_t slot = range.begin; slot < range.end; slot += kBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kBlock, range.end - slot));
      reader_.read_labels(slots_.begin + slot, count, LabelKeys::kIntegers, block);
      for (int t = 0; t < block.size; ++t) {
        cell[t] = static_cast<uint32_t>(block.label[t] - lowest_label_) * kHalfKeys;
      }
      if (block.size == count) {
        for (int t = 0; t < count; ++t) cell[t] += half_key(scores_[slot + t].bits);
      } else {
        for (int t = 0; t < block.size; ++t) {
          cell[t] += half_key(scores_[slot + block.position[t]].bits);
        }
      }
      body(slot, block, cell);
    }
  }

  // The number of items per cell.
  std::vector<uint32_t> count_items() const {
    const int64_t cells = num_grades_ * kHalfKeys;
    // Clearing and adding up a table takes as long as counting one item per cell.
    const int64_t parts = std::clamp<int64_t>(slots_.size() / cells, 1, team_.size());
    std::vector<uint32_t> counts(parts * cells);
    team_.run(parts, [&](int64_t part, int) {
      uint32_t* own = counts.data() + part * cells;
      const Range range{slots_.size() * part / parts, slots_.size() * (part + 1) / parts};
      for_cells(range, [own](int64_t, const Block<float>& block, const uint32_t* cell) {
        for (int t = 0; t < block.size; ++t) ++own[cell[t]];
      });
    });
    team_.run(parts > 1 ? num_grades_ : 0, [&](int64_t grade, int) {
      for (int64_t part = 1; part < parts; ++part) {
        for (int64_t cell = grade * kHalfKeys; cell < (grade + 1) * int64_t{kHalfKeys}; ++cell) {
          counts[cell] += counts[part * cells + cell];
        }
      }
    });
    return counts;
  }

  // The distinct scores, and the number of items below each.
  void sum_scores(const std::vector<uint32_t>& counts, ScoreType type) {
    const uint32_t bottom = bottom_half_key(type), top = top_half_key(type);
    below_.assign(num_grades_, 0);
    for (uint32_t key = 0; key < kHalfKeys; ++key) {
      int grades = 0;
      for (int64_t grade = 0; grade < num_grades_; ++grade) {
        grades += counts[grade * kHalfKeys + key] != 0;
      }
      if (grades == 0) continue;
      poisoned_ |= key < bottom || key > top || (grades > 1 && (key == bottom || key == top));
      key_.push_back(key);
      score_.push_back(value_of_half_key(key, type));
      for (int64_t grade = 0; grade < num_grades_; ++grade) {
        below_.push_back(below_[below_.size() - num_grades_] + counts[grade * kHalfKeys + key]);
      }
    }
  }

  template <typename Count>
  void store(const std::vector<Count>& gradients, Count* grad) const {
    team_.run(num_chunks(slots_.size()), [&](int64_t task, int) {
      const Range range = chunk(task, slots_.size());
      if (masked_) std::fill(grad + range.begin, grad + range.end, Count{0});
      for_cells(range, [&](int64_t slot, const Block<float>& block, const uint32_t* cell) {
        for (int t = 0; t < block.size; ++t) grad[slot + block.position[t]] = gradients[cell[t]];
      });
    });
  }

  const ListReader<float>& reader_;
  const Half* scores_;
  Range slots_;
  int64_t lowest_label_;
  int64_t num_grades_;
  bool masked_;
  bool poisoned_ = false;
  const ThreadTeam& team_;
  std::vector<uint32_t> key_;    // of the distinct scores, ascending
  std::vector<float> score_;     // of the same scores
  std::vector<uint32_t> below_;  // [distinct scores + 1, grades]
};

}  // namespace fused_rankloss::cpu::pairwise
