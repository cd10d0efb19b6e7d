// SPDX-License-Identifier: BSD-3-Clause
//
// A pair loss over one list, with gradient, for all margins at once.
//
// Merge sort by label: the items are brought into ascending label order and cut into leaves. The
// pairs within a leaf are compared directly, and each leaf is sorted by score. Then neighbouring
// runs are merged, round after round. Before each merge, one sweep sums all pairs between the two
// runs (lists/merge_sweep.h). So every pair of different labels is counted exactly once. Binary
// labels need one sweep and no merge, L grades need ceil(log2 L) rounds. A short list is one leaf
// and is never sorted by score.
//
// 16-bit scores with few grades are counted in a histogram instead (histogram.h) if gradients are
// counts. Of an imbalanced binary list, only the minority class is sorted (minority.h).
//
// Time O(n log n), memory O(n). If `Sum` is an integer type, gradients are numbers of pairs (hinge
// without weights); if it is double, they are sums of weighted slopes.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "cpu/lists/label_order.h"
#include "cpu/lists/merge_rounds.h"
#include "cpu/pairwise/direct.h"
#include "cpu/pairwise/histogram.h"
#include "cpu/pairwise/leaves.h"
#include "cpu/pairwise/minority.h"
#include "cpu/pairwise/output.h"
#include "cpu/pairwise/policy.h"

namespace fused_rankloss::cpu::pairwise {

// What the loss needs from one list.
struct ListSums {
  double pairs = 0;       // summed pair weight; 0 for a poisoned list
  bool poisoned = false;  // contains NaN, an invalid weight, or a pair of equal infinities
  bool no_slope = false;  // a margin has no gradient here
  double unit = 1;        // of the stored gradients
};

template <typename Score, typename Loss, typename Sum>
class PairwiseList : private PairwiseOutput<Score, Sum> {
 public:
  using Output = PairwiseOutput<Score, Sum>;
  using Output::kCounts;
  using Key = decltype(ordered_key(Score{}));
  static constexpr int kDirect = kCounts ? kDirectCounts : kDirectMoments;
  static_assert(kDirect <= kBlock);

  // Workspace for a list of that many slots: two arrays of items (`halves`) and fp64 gradients. The
  // items' keys are those of scores or of labels, the wider of the two.
  static int64_t workspace_bytes(const PairwiseArgs& args, int64_t slots) {
    if (slots <= kDirect) return 0;
    const bool needs_sums = !kCounts && args.raw_grad != nullptr;
    return slots *
           (2 * item_bytes(args) + (needs_sums ? args.num_margins * int64_t{sizeof(double)} : 0));
  }

  PairwiseList(const PairwiseArgs& args, const ListReader<Score>& reader, const ThreadTeam& team)
      : Output(args, reader, team) {}

  // `value` and `slope` point at [K] numbers with stride num_lists.
  ListSums solve(Range slots, std::byte* workspace, double* value, double* slope) {
    begin_list(slots, workspace + slots.size() * 2 * item_bytes(args_), value, slope);
    workspace_ = workspace;
    pairs_ = 0;
    unit_ = 1;
    poisoned_ = false;
    finite_ = true;
    if (slots.size() <= kDirect) {
      solve_short();
    } else {
      solve_long();
    }
    if (poisoned_) return {0, true};
    return {pairs_, false, mark_margins(), unit_};
  }

 private:
  using Output::add, Output::sums, Output::store, Output::visit_result;
  using Output::args_, Output::reader_, Output::team_, Output::slots_;
  using Output::begin_list, Output::clear_sums, Output::store_sums;
  using Output::margin, Output::inclusive, Output::wants_grad, Output::weights;
  using Direct = DirectItems<Score, kDirect>;

  static int64_t item_bytes(const PairwiseArgs& args) {
    const bool wide_labels =
        args.label_type == LabelType::kInt64 || args.label_type == LabelType::kDouble;
    return wide_labels ? sizeof(Item<uint64_t>) : sizeof(Item<Key>);
  }

  // ---- Short lists ----------------------------------------------------------------------------

  void solve_short() {
    Block<Score> block;
    const int count = static_cast<int>(slots_.size());
    reader_.read(slots_.begin, count, LabelKeys::kIntegers, block);
    const bool integers = block.integers;
    if (!integers) reader_.read(slots_.begin, count, LabelKeys::kOrdered, block);
    for (int64_t k = 0; wants_grad() && k < args_.num_margins; ++k) {
      visit_result(k, [&](auto* result) { std::fill_n(result, count, 0); });
    }
    InfinityCheck infinities;
    finite_ = block.finite;
    if (!integers || !finite_) {
      for (int t = 0; t < block.size; ++t) {
        poisoned_ |= is_nan_label(block.label[t], args_.label_type) ||
                     infinities.poisons(block.score[t], block.label[t]);
      }
    }
    if (poisoned_) return;
    Direct items;
    order_by_label(block, items);
    PairCounter counter;
    for (int grade = 0; grade < items.num_grades; ++grade) {
      count_grade(weights(), items.index + items.starts[grade],
                  items.index + items.starts[grade + 1], counter);
    }
    take_pairs(counter.pairs());
    if (poisoned_ || items.num_grades < 2) return;
    for (int64_t k = 0; k < args_.num_margins; ++k) {
      add(k, solve_direct(items, k, [&](int t, auto sum) {
            if (wants_grad()) store(k, items.index[t], sum);
          }));
    }
  }

  template <typename Store>
  PairSums solve_direct(const Direct& items, int64_t k, Store&& store) const {
    if constexpr (kCounts && std::is_same_v<Score, float>) {
      const PairSums sums = count_pairs_directly(items, margin(k), inclusive(), store);
      if (!std::isnan(sums.value)) return sums;
      // The counts are right for any scores; the value is summed pair by pair.
      return sum_pairs_directly<Loss>(items, weights(), margin(k), args_.boundary_grad,
                                      [](int, double) {});
    } else {
      return sum_pairs_directly<Loss>(items, weights(), margin(k), args_.boundary_grad, store);
    }
  }

  // An invalid weight or an overflow makes the summed pair weight NaN or infinite.
  void take_pairs(double pairs) {
    pairs_ = pairs;
    poisoned_ |= !std::isfinite(pairs);
    if (kCounts || poisoned_ || args_.weights == nullptr) return;
    unit_ = weight_unit(pairs);
    this->set_unit(unit_);
  }

  // Makes the value NaN for margins that are NaN, or infinite while some score is. Returns whether
  // there are any. Gradients may be integers, so that list_scale carries their NaN.
  bool mark_margins() const {
    bool any = false;
    for (int64_t k = 0; pairs_ > 0 && k < args_.num_margins; ++k) {
      if (std::isfinite(margin(k)) || (finite_ && !std::isnan(margin(k)))) continue;
      add(k, PairSums{std::nan(""), 0.0});
      any = true;
    }
    return any;
  }

  // ---- Long lists -----------------------------------------------------------------------------

  void solve_long() {
    if constexpr (kCounts && std::is_same_v<Score, float>) {
      if (may_be_histogram_list(args_, slots_) && solve_histogram()) return;
    }
    const ListSummary summary = summarize(reader_, slots_, team_);
    finite_ = summary.finite;
    poisoned_ = !finite_ && poisons(summary);
    if (wants_grad()) clear_sums();
    if (poisoned_) {
      store_sums();
      return;
    }
    if (solves_minority(summary)) {
      Minority<Score, Loss, Sum> small(args_, reader_, team_, slots_, *this, summary);
      take_pairs(small.pairs());
      if (!poisoned_) small.solve(workspace_);
      store_sums();
      return;
    }
    const int64_t half = slots_.size() * item_bytes(args_);
    std::byte* halves[2] = {workspace_, workspace_ + half};
    GradeTable<Key> table(kDirect);
    if (summary.countable()) {
      take_counted_grades(summary, halves, table);
    } else if (fits_32_bits(summary)) {
      take_sorted_grades<uint32_t>(summary, halves, table);
    } else {
      take_sorted_grades<uint64_t>(summary, halves, table);
    }
    if (!poisoned_ && table.grade_starts.size() > 1) {
      Runs<Key> runs{reinterpret_cast<Item<Key>*>(halves[0]),
                     reinterpret_cast<Item<Key>*>(halves[1]),
                     {},
                     finite_};
      solve_leaves(table, runs);
      merge_runs_by_label(runs);
    }
    store_sums();
  }

  // Returns false if there are too many grades.
  bool solve_histogram() {
    const ListSummary summary = summarize_labels(reader_, slots_, team_);
    if (!has_histogram_grades(summary)) return false;
    const Histogram list(args_, reader_, slots_, summary, team_);
    poisoned_ = list.poisoned();
    finite_ = list.finite();
    take_pairs(list.pairs());
    if (poisoned_ && wants_grad()) clear_sums();
    for (int64_t k = 0; !poisoned_ && k < args_.num_margins; ++k) {
      add(k, list.solve(margin(k), inclusive(), sums(k)));
    }
    return true;
  }

  bool poisons(const ListSummary& summary) const {
    const LabelKeys keys = summary.integers ? LabelKeys::kIntegers : LabelKeys::kOrdered;
    InfinityCheck infinities;
    bool poisoned = false;
    for_blocks(reader_, slots_.begin, 0, slots_.size(), keys,
               [&](const Block<Score>& block, int64_t) {
                 for (int t = 0; t < block.size; ++t) {
                   poisoned |= infinities.poisons(block.score[t], block.label[t]);
                 }
               });
    return poisoned;
  }

  bool solves_minority(const ListSummary& summary) const {
    bool finite = finite_;
    for (int64_t k = 0; k < args_.num_margins; ++k) finite &= std::isfinite(margin(k));
    return finite && Minority<Score, Loss, Sum>::suits(summary, slots_);
  }

  bool fits_32_bits(const ListSummary& summary) const {
    if (slots_.size() > UINT32_MAX) return false;
    return summary.integers ? summary.label_span() <= UINT32_MAX
                            : args_.label_type != LabelType::kDouble;
  }

  void take_counted_grades(const ListSummary& summary, std::byte* const (&halves)[2],
                           GradeTable<Key>& table) {
    auto* items = reinterpret_cast<Item<Key>*>(halves[0]);
    auto* buckets = reinterpret_cast<uint16_t*>(halves[1]);
    const auto bins = ScoreBins<Score>::sample(reader_, slots_, summary.num_grades());
    const std::vector<int64_t> starts =
        order_by_counting(reader_, slots_, summary, bins, items, buckets, team_);
    PairCounter counter;
    for (int64_t grade = 0; grade < summary.num_grades(); ++grade) {
      const int64_t* segments = &starts[grade * bins.count()];
      table.add_grade(segments, bins.count());
      count_grade(weights(), items + segments[0], items + segments[bins.count()], counter);
    }
    take_pairs(counter.pairs());
  }

  // Writes the items to halves[0], after swapping the two if necessary.
  template <typename LabelKey>
  void take_sorted_grades(const ListSummary& summary, std::byte* (&halves)[2],
                          GradeTable<Key>& table) {
    const Item<LabelKey>* labels = order_by_sorting(
        reader_, slots_, summary, args_.label_type, reinterpret_cast<Item<LabelKey>*>(halves[0]),
        reinterpret_cast<Item<LabelKey>*>(halves[1]), team_);
    if (labels == nullptr) {
      poisoned_ = true;
      return;
    }
    PairCounter counter;
    for (int64_t begin = 0, end = 0; begin < summary.num_items; begin = end) {
      while (end < summary.num_items && labels[end].key == labels[begin].key) ++end;
      const int64_t segments[] = {begin, end};
      table.add_grade(segments, 1);
      count_grade(weights(), labels + begin, labels + end, counter);
    }
    take_pairs(counter.pairs());
    if (reinterpret_cast<const std::byte*>(labels) == halves[0]) std::swap(halves[0], halves[1]);
    auto* items = reinterpret_cast<Item<Key>*>(halves[0]);
    team_.run(num_chunks(summary.num_items), [&](int64_t task, int) {
      const Range range = chunk(task, summary.num_items);
      for (int64_t t = range.begin; t < range.end; ++t) {
        const Key index = static_cast<Key>(labels[t].index);
        items[t] = {ordered_key(reader_.score(slots_.begin + index)), index};
      }
    });
  }

  // The pairs within leaves of several grades; then sorts every leaf by score, which makes it a
  // run.
  void solve_leaves(const GradeTable<Key>& table, Runs<Key>& runs) const {
    const int64_t num_leaves = static_cast<int64_t>(table.leaves.size());
    const int64_t num_margins = args_.num_margins;
    std::vector<PairSums> parts(num_leaves * num_margins, PairSums{});
    team_.run(num_leaves, [&](int64_t task, int) {
      const Leaf& leaf = table.leaves[task];
      if (leaf.num_grades > 1) {
        Direct items;
        gather_leaf(leaf, table, runs.items, items);
        for (int64_t k = 0; k < num_margins; ++k) {
          Sum* out = sums(k);
          parts[task * num_margins + k] = solve_direct(items, k, [&](int t, auto sum) {
            if (out != nullptr) out[items.index[t]] += static_cast<Sum>(sum);
          });
        }
      }
    });
    for (int64_t t = 0; t < num_leaves * num_margins; ++t) add(t % num_margins, parts[t]);
    sort_segments(table.segments, runs, team_);
    for (const Leaf& leaf : table.leaves) runs.bounds.push_back(leaf.begin);
    runs.bounds.push_back(table.leaves.back().end);
  }

  void merge_runs_by_label(Runs<Key>& runs) const {
    while (runs.count() > 1) {
      for (int64_t k = 0; k < args_.num_margins; ++k) {
        if constexpr (kCounts) {
          add(k, sweep_round_counts(runs, margin(k), inclusive(), sums(k), team_));
        } else {
          sweep_moments(runs, k);
        }
      }
      // The last merge is not needed.
      if (runs.count() == 2) return;
      merge_round(runs, team_);
    }
  }

  // At the boundary, the slope of an indicator is a weighted mean of its one-sided limits.
  void sweep_moments(const Runs<Key>& runs, int64_t k) const {
    const double inclusive_part = Loss::kSlopeIsIndicator ? args_.boundary_grad : 1;
    for (const bool inclusive : {true, false}) {
      const double factor = inclusive ? inclusive_part : 1 - inclusive_part;
      if (factor == 0) continue;
      add(k,
          sweep_round_moments<Loss>(runs, weights(), margin(k), inclusive, factor, sums(k), team_));
    }
  }

  std::byte* workspace_ = nullptr;
  double pairs_ = 0;
  double unit_ = 1;
  bool poisoned_ = false;
  bool finite_ = true;
};

}  // namespace fused_rankloss::cpu::pairwise
