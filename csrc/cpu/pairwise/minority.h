// SPDX-License-Identifier: BSD-3-Clause
//
// A pair loss over an imbalanced binary list, for example with 1% of the items in one class.
//
// Only the minority class is sorted. Every item of the majority class finds its insertion position
// in it (`place`) by a search that starts from a table of buckets (simd/bucket_loops.h). The place
// is the number of violated pairs that the item forms; with the table of losses/gap_table.h it also
// gives the item's part of value and gradient. The item is counted in its interval of the minority
// class. The gradients of the minority class are then a running sum over the intervals.
//
// If the minority class is the less relevant one, everything is mirrored: its items are sorted from
// the highest score down, and searched by complemented keys of their reach (common/ordered.h).
//
// Time O(N + P log P) for P minority items; less memory than sorting both classes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

#include "common/weights.h"
#include "cpu/lists/radix_sort.h"
#include "cpu/pairwise/bucket_table.h"
#include "cpu/pairwise/item_blocks.h"
#include "cpu/pairwise/output.h"
#include "cpu/pairwise/policy.h"
#include "losses/gap_table.h"

namespace fused_rankloss::cpu::pairwise {

template <typename Score, typename Loss, typename Sum>
class Minority {
 public:
  using Output = PairwiseOutput<Score, Sum>;
  using Key = decltype(ordered_key(Score{}));
  static constexpr bool kCounts = Output::kCounts;

  // Whether a list of finite scores is imbalanced enough for this path.
  static bool suits(const ListSummary& summary, Range slots) {
    const int64_t small = std::min(summary.num_lowest, summary.num_highest);
    return summary.integers && summary.label_span() > 0 &&
           summary.num_lowest + summary.num_highest == summary.num_items &&
           summary.num_items >= kMinorityItems && slots.size() <= INT32_MAX &&
           small <= kMinoritySize && small * kMinorityShare <= summary.num_items;
  }

  Minority(const PairwiseArgs& args, const ListReader<Score>& reader, const ThreadTeam& team,
           Range slots, const Output& output, const ListSummary& summary)
      : args_(args),
        reader_(reader),
        team_(team),
        slots_(slots),
        output_(output),
        summary_(summary),
        blocks_(reader, slots, summary.num_items, team),
        mirrored_(summary.num_lowest < summary.num_highest),
        minority_label_(mirrored_ ? summary.min_label : summary.max_label),
        size_(std::min(summary.num_lowest, summary.num_highest)) {}

  // Summed pair weight: NaN if a weight is invalid.
  double pairs() const {
    const double items[2] = {static_cast<double>(summary_.num_lowest),
                             static_cast<double>(summary_.num_highest)};
    PairCounter counter;
    if (!reader_.weighted()) {
      for (const double count : items) counter.add_grade(count, count);
      return counter.pairs();
    }
    struct Weights {
      double of[2] = {};
    };
    std::vector<Weights> parts(blocks_.num_chunks_of_items());
    team_.run(parts.size(), [&](int64_t task, int) {
      blocks_.visit(task, [&](const Block<Score>& block, int64_t slot) {
        for (int t = 0; t < block.size; ++t) {
          const bool high = block.label[t] == summary_.max_label;
          parts[task].of[high] += weights_.checked(slot + block.position[t]);
        }
      });
    });
    for (const bool high : {false, true}) {
      double weight = 0;
      for (const Weights& part : parts) weight += part.of[high];
      counter.add_grade(weight, reader_.preferred() ? items[high] : weight);
    }
    return counter.pairs();
  }

  // `workspace` is that of PairwiseList.
  void solve(std::byte* workspace) {
    items_ = reinterpret_cast<Item<Key>*>(workspace);
    collect();
    Workspace rest(workspace + size_ * sizeof(Item<Key>));
    items_ = radix_sort(items_, rest.take<Item<Key>>(size_), size_, team_);
    scores_ = rest.take<Score>(size_ + 1);
    entries_ = kCounts ? nullptr : rest.take<GapMoments>(size_ + 1);
    const BucketTableMaker<Score> tables(rest, size_);
    // Counts have the same sum in any order, and need no more tiles than there are threads. For
    // P <= n / 8 the arrays take at most 10 n bytes for counts and 13 n for moments (14 n and 17 n
    // for fp64 scores), of the 16 n (32 n) bytes of the workspace.
    static_assert(kMinorityShare >= 8 && kBucketsPerKey <= 4);
    num_tiles_ = std::min({kCounts ? team_.size() : kIntervalTiles,
                           summary_.num_items / (8 * size_), blocks_.num_chunks_of_items()});
    intervals_ = rest.take<Interval>(num_tiles_ * (size_ + 1));
    for (int64_t r = 0; r < size_; ++r) {
      scores_[r + 1] = value_of_key(static_cast<Key>(items_[r].key ^ flip()));
    }
    scores_[0] = scores_[1];
    for (int64_t k = 0; k < args_.num_margins; ++k) {
      if constexpr (kCounts) {
        count_round(k, tables);
      } else {
        // At the boundary, the slope of an indicator is a weighted mean of its one-sided limits.
        const double inclusive_part = Loss::kSlopeIsIndicator ? args_.boundary_grad : 1;
        if (inclusive_part > 0) moments_round(k, tables, true, inclusive_part);
        if (inclusive_part < 1) moments_round(k, tables, false, 1 - inclusive_part);
      }
    }
  }

 private:
  // Consecutive items alternate between two counters: increments of one counter would wait for each
  // other where many items share an interval.
  struct Counter {
    int32_t items[2] = {};

    void add(const Counter& other) {
      items[0] += other.items[0];
      items[1] += other.items[1];
    }
    int64_t total() const { return int64_t{items[0]} + items[1]; }
  };

  // What a tile of the majority class sums for its items that lie beyond r minority items.
  using Interval = std::conditional_t<kCounts, Counter, GapMoments>;

  struct Places {
    Key keys[kBlock];
    int32_t place[kBlock];
    double gap[kBlock];
  };

  Key flip() const { return mirrored_ ? std::numeric_limits<Key>::max() : Key{0}; }

  // Distance of minority item r to the one before, up or, if mirrored, down.
  double gap_before(int64_t r) const {
    if (r == 0) return 0;
    const double before = scores_[r], here = scores_[r + 1];
    return mirrored_ ? before - here : here - before;
  }

  double small_weight(int64_t r) const {
    const int64_t index = static_cast<int64_t>(items_[r].index);
    return mirrored_ ? weights_.less(index) : weights_.more(index);
  }

  // Collects the minority items in slot order at the front of `items_`.
  void collect() const {
    std::vector<int64_t> found(num_chunks(slots_.size()));
    team_.run(found.size(), [&](int64_t task, int) {
      const Range range = chunk(task, slots_.size());
      for_blocks(reader_, slots_.begin, range.begin, range.end, LabelKeys::kIntegers,
                 [&](const Block<Score>& block, int64_t slot) {
                   for (int t = 0; t < block.size; ++t) {
                     if (block.label[t] != minority_label_) continue;
                     const Key key = ordered_key(block.score[t]) ^ flip();
                     const Key index = static_cast<Key>(slot + block.position[t]);
                     items_[range.begin + found[task]++] = {key, index};
                   }
                 });
    });
    int64_t end = 0;
    for (size_t task = 0; task < found.size(); ++task) {
      const Item<Key>* from = items_ + chunk(task, slots_.size()).begin;
      std::copy(from, from + found[task], items_ + end);
      end += found[task];
    }
  }

  // Calls visit(block, slot, places, the tile's intervals, chunk) for all blocks. Afterwards the
  // intervals of the first tile hold the sum over all tiles.
  template <typename Visit>
  void visit_places(const BucketTableMaker<Score>& tables, double margin, bool inclusive,
                    Visit&& visit) const {
    const BucketTable<Score> table = tables.make(mirrored_, [&](int64_t r) {
      if (!mirrored_) return items_[r].key;
      return static_cast<Key>(ordered_key(reach(scores_[r + 1], margin, inclusive)) ^ flip());
    });
    const BucketLoopsOf<Score>& loops = bucket_loops().of<Score>();
    const int64_t chunks = blocks_.num_chunks_of_items();
    team_.run(num_tiles_, [&](int64_t tile, int) {
      Interval* intervals = intervals_ + tile * (size_ + 1);
      std::fill_n(intervals, size_ + 1, Interval{});
      Places places;
      const int64_t end = chunks * (tile + 1) / num_tiles_;
      for (int64_t part = chunks * tile / num_tiles_; part < end; ++part) {
        blocks_.visit(part, [&](const Block<Score>& block, int64_t slot) {
          const BucketQuery<Score> query{block.score, block.label, block.size, minority_label_,
                                         margin,      inclusive,   mirrored_};
          loops.find(query, table, places.keys, places.place);
          loops.measure(query, places.place, scores_, places.gap);
          visit(block, slot, places, intervals, part);
        });
      }
    });
    team_.run(num_chunks(size_ + 1), [&](int64_t task, int) {
      const Range range = chunk(task, size_ + 1);
      for (int64_t tile = 1; tile < num_tiles_; ++tile) {
        const Interval* from = intervals_ + tile * (size_ + 1);
        for (int64_t r = range.begin; r < range.end; ++r) intervals_[r].add(from[r]);
      }
    });
  }

  void count_round(int64_t k, const BucketTableMaker<Score>& tables) const {
    const double margin = output_.margin(k);
    Sum* grad = output_.sums(k);
    const Sum sign = mirrored_ ? -1 : 1;
    const auto sum = bucket_loops().of<Score>().sum;
    std::vector<PairSums> parts(blocks_.num_chunks_of_items());
    visit_places(tables, margin, output_.inclusive(),
                 [&](const Block<Score>& block, int64_t slot, const Places& places,
                     Counter* intervals, int64_t part) {
                   parts[part].value += sum(places.place, places.gap, block.size);
                   for (int t = 0; t < block.size; ++t) {
                     ++intervals[places.place[t]].items[t % 2];
                   }
                   for (int t = 0; grad != nullptr && t < block.size; ++t) {
                     grad[slot + block.position[t]] = sign * static_cast<Sum>(places.place[t]);
                   }
                 });
    PairSums sums = sum_of(parts);
    GapMoments entry;
    int64_t violations = 0;
    for (int64_t r = 0; r < size_; ++r) {
      const int64_t items = intervals_[r + 1].total();
      entry = next_entry(entry, gap_before(r), 1);
      sums.value += shared_sum(static_cast<double>(items), entry);
      violations += (r + 1) * items;
    }
    sums.slope = static_cast<double>(violations);
    output_.add(k, sums);
    if (grad == nullptr) return;
    // From here on, interval r + 1 holds all items beyond minority item r.
    for (int64_t r = size_ - 1; r > 0; --r) intervals_[r].add(intervals_[r + 1]);
    team_.run(num_chunks(size_), [&](int64_t task, int) {
      const Range range = chunk(task, size_);
      for (int64_t r = range.begin; r < range.end; ++r) {
        grad[items_[r].index] = -sign * static_cast<Sum>(intervals_[r + 1].total());
      }
    });
  }

  void moments_round(int64_t k, const BucketTableMaker<Score>& tables, bool inclusive,
                     double factor) const {
    const double margin = output_.margin(k);
    double* grad = output_.sums(k);
    const double sign = mirrored_ ? -1 : 1;
    entries_[0] = {};
    for (int64_t r = 0; r < size_; ++r) {
      entries_[r + 1] = next_entry(entries_[r], gap_before(r), small_weight(r));
    }
    std::vector<PairSums> parts(blocks_.num_chunks_of_items());
    visit_places(tables, margin, inclusive,
                 [&](const Block<Score>& block, int64_t slot, const Places& places,
                     GapMoments* intervals, int64_t part) {
                   for (int t = 0; t < block.size; ++t) {
                     const int32_t place = places.place[t];
                     if (place == 0) continue;
                     const int64_t index = slot + block.position[t];
                     const double weight =
                         factor * (mirrored_ ? weights_.more(index) : weights_.less(index));
                     const GapMoments answer = answer_of(entries_[place], places.gap[t]);
                     const double slope = weighted(weight, Loss::slope_sum(answer));
                     parts[part].value += weighted(weight, Loss::value_sum(answer));
                     parts[part].slope += slope;
                     add_to_interval(intervals[place], places.gap[t], weight);
                     if (grad != nullptr) grad[index] += sign * slope;
                   }
                 });
    output_.add(k, sum_of(parts));
    if (grad == nullptr) return;
    GapMoments beyond;
    for (int64_t r = size_ - 1; r >= 0; --r) {
      const double gap = r + 1 < size_ ? gap_before(r + 1) : 0;
      beyond = previous_entry(beyond, gap, intervals_[r + 1]);
      grad[items_[r].index] -= sign * weighted(small_weight(r), Loss::slope_sum(beyond));
    }
  }

  const PairwiseArgs& args_;
  const ListReader<Score>& reader_;
  const ThreadTeam& team_;
  const Range slots_;
  const Output& output_;
  const ListSummary& summary_;
  const ItemBlocks<Score> blocks_;
  const ListWeights<Score> weights_{reader_, slots_.begin};
  const bool mirrored_;  // the minority class is the less relevant one
  const int64_t minority_label_;
  const int64_t size_;  // of the minority class

  Item<Key>* items_ = nullptr;     // minority items in search order
  Score* scores_ = nullptr;        // [size + 1], item r at r + 1
  GapMoments* entries_ = nullptr;  // [size + 1], likewise
  int64_t num_tiles_ = 0;
  Interval* intervals_ = nullptr;  // [num_tiles, size + 1]
};

}  // namespace fused_rankloss::cpu::pairwise
