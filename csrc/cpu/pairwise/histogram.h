// SPDX-License-Identifier: BSD-3-Clause
//
// The unweighted hinge of a long list whose scores have 16 bits, without sorting them: items are
// counted by level and score, the equations of losses/hinge_counts.h give each level and score its
// gradient, and every item looks its own up. Two passes over the items, and nothing else that grows
// with their number.
//
// Counts are integers, so that the parts into which counting is cut show in no result.
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

inline bool may_be_half_list(const PairwiseArgs& args, Range slots) {
  return is_half(args.score_type) && slots.size() >= kHalfList;
}

inline bool has_half_levels(const ListSummary& summary) {
  return summary.num_items > 0 && summary.countable() && summary.num_levels() <= kHalfLevels;
}

class HalfList {
 public:
  HalfList(const PairwiseArgs& args, const ListReader<float>& reader, Range slots,
           const ListSummary& summary, const Team& team)
      : reader_(reader),
        // What the two types have in common is all that is asked for.
        scores_(static_cast<const Half*>(args.scores) + slots.begin),
        slots_(slots),
        lowest_label_(summary.min_label),
        num_levels_(summary.num_levels()),
        masked_(args.lists.mask != nullptr),
        team_(team) {
    sum_scores(count_items(), args.score_type);
  }

  // By NaN, or equal infinities of different labels.
  bool poisoned() const { return poisoned_; }
  // No score is infinite, unless the list is poisoned.
  bool finite() const { return std::isfinite(score_.front()) && std::isfinite(score_.back()); }

  double pairs() const {
    PairCounter counter;
    for (int64_t level = 0; level < num_levels_; ++level) {
      const double items = static_cast<double>(below(level, num_scores()));
      counter.add_level(items, items);
    }
    return counter.pairs();
  }

  // `grad` (or null) is that of the list's first slot.
  template <typename Count>
  PairSums solve(double margin, bool inclusive, Count* grad) const {
    std::vector<Count> gradients(grad != nullptr ? num_levels_ * kHalfKeys : 0);
    std::vector<float> reached(num_scores());
    for (uint32_t t = 0; t < num_scores(); ++t) reached[t] = reach(score_[t], margin, inclusive);
    CompensatedSum value;
    int64_t violations = 0;
    ScoreReach ends{0, 0};
    for (uint32_t t = 0; t < num_scores(); ++t) {
      while (ends.first < num_scores() && !(score_[t] <= reached[ends.first])) ++ends.first;
      while (ends.last < num_scores() && score_[ends.last] <= reached[t]) ++ends.last;
      const HingeCounts counts = count_violations(
          static_cast<int>(num_levels_), num_scores(), t, ends,
          [&](int level, uint32_t score) { return below(level, score); },
          [&](int level, int64_t gradient) {
            if (grad != nullptr) {
              gradients[level * kHalfKeys + key_[t]] = static_cast<Count>(gradient);
            }
          });
      counts.add_value(margin, static_cast<double>(score_[t]), value);
      violations += counts.violations;
    }
    if (grad != nullptr) store(gradients, grad);
    // Counted pairs add no less than 0 each: below it, only the rounding of their sum.
    return {value.total() < 0 ? 0 : value.total(), static_cast<double>(violations)};
  }

 private:
  uint32_t num_scores() const { return static_cast<uint32_t>(key_.size()); }
  int64_t below(int64_t level, uint32_t score) const { return below_[score * num_levels_ + level]; }

  // Calls body(first slot, block, cells of its items) for blocks of slots in a range of the list. A
  // cell is a level and a score.
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

  // Items by cell.
  std::vector<uint32_t> count_items() const {
    const int64_t cells = num_levels_ * kHalfKeys;
    // Tables take as long to clear and add up as so many items.
    const int64_t parts = std::clamp<int64_t>(slots_.size() / cells, 1, team_.size());
    std::vector<uint32_t> counts(parts * cells);
    team_.run(parts, [&](int64_t part, int) {
      uint32_t* own = counts.data() + part * cells;
      const Range range{slots_.size() * part / parts, slots_.size() * (part + 1) / parts};
      for_cells(range, [own](int64_t, const Block<float>& block, const uint32_t* cell) {
        for (int t = 0; t < block.size; ++t) ++own[cell[t]];
      });
    });
    team_.run(parts > 1 ? num_levels_ : 0, [&](int64_t level, int) {
      for (int64_t part = 1; part < parts; ++part) {
        for (int64_t cell = level * kHalfKeys; cell < (level + 1) * int64_t{kHalfKeys}; ++cell) {
          counts[cell] += counts[part * cells + cell];
        }
      }
    });
    return counts;
  }

  // The distinct scores, and what is below each.
  void sum_scores(const std::vector<uint32_t>& counts, ScoreType type) {
    const uint32_t bottom = bottom_half_key(type), top = top_half_key(type);
    below_.assign(num_levels_, 0);
    for (uint32_t key = 0; key < kHalfKeys; ++key) {
      int levels = 0;
      for (int64_t level = 0; level < num_levels_; ++level) {
        levels += counts[level * kHalfKeys + key] != 0;
      }
      if (levels == 0) continue;
      poisoned_ |= key < bottom || key > top || (levels > 1 && (key == bottom || key == top));
      key_.push_back(key);
      score_.push_back(value_of_half_key(key, type));
      for (int64_t level = 0; level < num_levels_; ++level) {
        below_.push_back(below_[below_.size() - num_levels_] + counts[level * kHalfKeys + key]);
      }
    }
  }

  template <typename Count>
  void store(const std::vector<Count>& gradients, Count* grad) const {
    team_.run(num_stretches(slots_.size()), [&](int64_t task, int) {
      const Range range = stretch(task, slots_.size());
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
  int64_t num_levels_;
  bool masked_;
  bool poisoned_ = false;
  const Team& team_;
  std::vector<uint32_t> key_;    // of the distinct scores, ascending
  std::vector<float> score_;     // the same
  std::vector<uint32_t> below_;  // [distinct scores + 1, levels]
};

}  // namespace fused_rankloss::cpu::pairwise
