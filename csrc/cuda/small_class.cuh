// SPDX-License-Identifier: BSD-3-Clause
//
// The unweighted hinge of one long list of two levels, one of which is small, such as a hundredth
// of the items. Only the small class is sorted. With s_0 <= s_1 <= ... its P scores, an item at x
// of the big class violates the margin with
//
//   s_r <= reach(x)        if the small class is more relevant:   the first ones
//   reach(s_r) >= x        if it is less relevant:                the last ones                 (1)
//
// so that one binary search counts them: it finds the entry t in [0, P] where they end or begin.
// Conversely, item r of the small class violates it with the items of the big one that have an
// entry t > r, or t <= r: sums of a histogram of entries. Sums as in losses/hinge_counts.h (2). One
// cooperative launch, with barriers of the grid between these phases:
//
//   1. items are counted by level
//   2. the items of the small class are collected, and sorted (team_radix_sort.cuh)
//   3. for a margin: bounds, which are the sides of (1) that belong to the small class
//   4. for a margin: every item of the big class looks for its entry, and is counted there
//   5. for a margin: counts become sums of those before them in their tile
//   6. for a margin: the gradients of the small class
//   7. one block sums up the shares
//
// What the path is not for shows in phase 1, or for scores that are not finite in phases 2 and 4.
// Then everyone leaves, and long_lists_kernel, which comes next and has nothing to do otherwise,
// sorts the list after all.
//
// Mapping      A block a tile of kScanTile consecutive slots or entries; in phase 4 a stretch of
//              such tiles, which do not depend on the grid
// Memory       Labels are read twice, and everything once more for each margin. A search makes 11
//              of its steps in shared memory, the others in the second-level cache.
// Atomics      Items that violate the margin with none, as mostly, are not counted, and those that
//              do with all of the small class are counted by their block first
// Numerics     As those of LongCounts (long_terms.cuh)
// Determinism  Bitwise: counts are integers, a gradient is one thread's, and sums over stretches
//              have a fixed order. Equal scores of the small class are in that of a race, but have
//              equal gradients.
#pragma once

#include "cuda/list_results.cuh"
#include "cuda/load_items.cuh"
#include "cuda/long_lists_sort.cuh"
#include "cuda/one_list.cuh"
#include "losses/hinge_counts.h"

namespace fused_rankloss {

// ---- Parameters ------------------------------------------------------------

// What all blocks change.
struct SmallClassState {
  uint32_t rows[LevelTable::kEntries + 1];  // items by the entry of their level, and of the key 0
  uint32_t collected;                       // items of the small class
  uint32_t not_finite;                      // whether some score is
};

template <typename Real>
struct SmallClassParams {
  using Key = ScoreKey<Real>;

  PairwiseArgs args;
  int64_t most_items;  // of the small class
  int64_t stretch;     // tiles of slots
  // Workspace: zero
  LevelTable* levels;
  SmallClassState* state;
  uint32_t* solved;  // in the end, unless the list is none for this path
  // Workspace: uninitialised
  Order<Key> orders[2];  // [most_items]: no ranks
  uint32_t* words;       // of TeamSort
  uint32_t* counts;      // [most_items + 1], for whole tiles: of items, then of those before
  uint32_t* totals;      // of tiles of counts
  ListPartial* shares;   // of stretches of slots, then of tiles of counts
  BatchTotals* records;  // [K]

  FRL_HD double margin(int64_t k) const { return args.margins ? args.margins[k] : args.margin; }

  FRL_HD static int64_t tiles_of(int64_t size) { return (size + kScanTile - 1) / kScanTile; }
  FRL_HD int64_t num_stretches() const {
    return (tiles_of(args.lists.num_slots) + stretch - 1) / stretch;
  }
};

template <typename Key>
struct SmallClassShared {
  BlockLevels levels;
  TeamSort::Shared sort;
  ScanShared<TeamSort::Count, kScanThreads> scan;
  SharedArray<Key, kSmallClassPivots> pivots;
  SharedArray<ListPartial, kScanThreads / kWarpSize> partials;
};

// ---- Phases ----------------------------------------------------------------

template <typename Real, class Team>
class SmallClass {
 public:
  using Key = ScoreKey<Real>;

  __device__ __forceinline__ SmallClass(const Team& team, SmallClassShared<Key>& shared,
                                        const SmallClassParams<Real>& params)
      : team_(team), shared_(shared), params_(params), args_(params.args) {}

  // All threads of the team call this.
  __device__ __forceinline__ void solve() {
    count_levels();
    team_.sync();
    if (!find_classes()) return;
    collect();
    team_.sync();
    if (params_.state->not_finite != 0) return;
    SortedSlots<Key> slots{params_.orders[0], params_.orders[1], /*has_lists=*/false};
    const TeamSort sorter{params_.words, size_, params_.tiles_of(size_)};
    sorter.sort(team_, shared_.sort, slots, slots.digits_of(args_.score_type, /*num_lists=*/1));
    sorted_ = slots.from;
    bounds_ = small_is_more_ ? slots.from.keys : slots.to.keys;
#pragma unroll 1
    for (int64_t k = 0; k < args_.num_margins; ++k) {
      start(k, slots.to.keys);
      team_.sync();
      answer_big(k);
      team_.sync();
      if (params_.state->not_finite != 0) return;
      sum_tiles();
      team_.sync();
      answer_small(k);
      team_.sync();
      if (team_.rank() == 0) finish(k);
    }
    if (team_.rank() == 0) finish_batch<Real, kScanThreads>(args_, params_.records, 1);
    if (team_.rank() == 0 && threadIdx.x == 0) *params_.solved = 1;
  }

 private:
  // ---- Phase 1

  __device__ __forceinline__ void count_levels() {
    constexpr int kZero = LevelTable::kEntries;
    shared_.levels.clear();
    __syncthreads();
    TeamSort::Count first, second, zero;
    for_slots(team_, args_.lists.num_slots, [&](int64_t slot) {
      if (!is_item_of_one_list(args_, slot)) return;
      const int row = shared_.levels.insert(*params_.levels, LevelTable::key(args_, slot));
      first.count += row == 0;
      second.count += row == 1;
      zero.count += row == kZero;
    });
    add_count(first, params_.state->rows[0]);
    add_count(second, params_.state->rows[1]);
    add_count(zero, params_.state->rows[kZero]);
  }

  // Adds what the threads of the block have counted.
  __device__ __forceinline__ void add_count(TeamSort::Count own, uint32_t& sum) {
    const uint32_t count = scan_block<Sweep::kUp, kScanThreads>(shared_.scan, own).total.count;
    if (threadIdx.x == 0 && count != 0) atomicAdd(&sum, count);
  }

  // Whether there are two levels, one of them small. All threads find the same.
  __device__ __forceinline__ bool find_classes() {
    const LevelTable& levels = *params_.levels;
    const bool nan_label = levels.has_zero != 0 && args_.label_type >= LabelType::kHalf;
    if (levels.size() != 2 || nan_label) return false;
    const uint64_t label = levels.entries[0];
    const uint64_t other = levels.has_zero != 0 ? 0 : levels.entries[1];
    const uint32_t items = params_.state->rows[0];
    const uint32_t others = params_.state->rows[other == 0 ? LevelTable::kEntries : 1];
    const bool is_smaller = items <= others;
    small_label_ = is_smaller ? label : other;
    small_is_more_ = is_smaller == (label > other);
    size_ = is_smaller ? items : others;
    others_ = is_smaller ? others : items;
    return size_ <= params_.most_items;
  }

  // ---- Phase 2

  __device__ __forceinline__ bool is_small(int64_t slot) const {
    return LevelTable::key(args_, slot) == small_label_;
  }

  // A warp takes places for those that it has met in a tile.
  __device__ __forceinline__ void collect() {
#pragma unroll 1
    for (int64_t tile = team_.rank(); tile * kScanTile < args_.lists.num_slots;
         tile += team_.size()) {
      unsigned found = 0;
#pragma unroll
      for (int i = 0; i < kScanRun; ++i) {
        const int64_t slot = slot_of_tile(tile, i);
        const bool there = slot < args_.lists.num_slots && is_item_of_one_list(args_, slot);
        found |= static_cast<unsigned>(there && is_small(slot)) << i;
      }
      const auto scanned =
          scan_warp<Sweep::kUp>(TeamSort::Count{static_cast<uint32_t>(__popc(found))});
      uint32_t begin = 0;
      if (lane_index() == kWarpSize - 1 && scanned.total.count != 0) {
        begin = atomicAdd(&params_.state->collected, scanned.total.count);
      }
      uint32_t place = __shfl_sync(kAllLanes, begin, kWarpSize - 1) + scanned.before.count;
#pragma unroll 1
      for (; found != 0; found &= found - 1) {
        const int64_t slot = slot_of_tile(tile, __ffs(static_cast<int>(found)) - 1);
        params_.orders[0].keys[place] = ordered_key(finite_score(slot));
        params_.orders[0].slots[place] = static_cast<uint32_t>(slot);
        ++place;
      }
    }
  }

  // Makes a note of a score that is not finite.
  __device__ __forceinline__ Real finite_score(int64_t slot) const {
    const Real score = load_score<Real>(args_, slot);
    if (!is_finite(score)) atomicExch(&params_.state->not_finite, 1u);
    return score;
  }

  // ---- Phase 3

  __device__ __forceinline__ void start(int64_t k, Key* bounds) const {
    const int64_t step = team_.size() * kScanThreads;
    const int64_t first = team_.rank() * kScanThreads + static_cast<int>(threadIdx.x);
    for (int64_t t = first; t < num_count_tiles() * kScanTile; t += step) params_.counts[t] = 0;
    if (small_is_more_) return;
    for (int64_t r = first; r < size_; r += step) {
      bounds[r] = reach_key(value_of_key(sorted_.keys[r]), params_.margin(k));
    }
  }

  // The key of how far a score reaches: below all keys of numbers where that is none.
  __device__ __forceinline__ Key reach_key(Real score, double margin) const {
    const Real limit = reach(score, margin, /*inclusive=*/args_.boundary_grad == 1);
    return limit == limit ? ordered_key(limit) : 0;
  }

  // ---- Phase 4

  __device__ __forceinline__ void answer_big(int64_t k) {
    const double margin = params_.margin(k);
    const uint32_t group =
        (size_ + kSmallClassPivots - 1) / kSmallClassPivots;  // entries from one pivot to the next
    const uint32_t num_pivots = size_ / group;
    for (uint32_t p = threadIdx.x; p < num_pivots; p += kScanThreads) {
      shared_.pivots.store(static_cast<int>(p), bounds_[(p + 1) * group - 1]);
    }
    __syncthreads();
    TeamSort::Count violate_all;
#pragma unroll 1
    for (int64_t stretch = team_.rank(); stretch < params_.num_stretches();
         stretch += team_.size()) {
      ListPartial sum;
      int64_t violations = 0;
#pragma unroll 1
      for (int64_t tile = stretch * params_.stretch; tile < (stretch + 1) * params_.stretch;
           ++tile) {
        for_slots_of_tile(tile, args_.lists.num_slots, [&](int64_t slot) {
          int64_t gradient = 0;
          if (is_item_of_one_list(args_, slot)) {
            if (is_small(slot)) return;
            const Real score = finite_score(slot);
            const uint32_t entry = find_entry(score, margin, group, num_pivots);
            const uint32_t violated = small_is_more_ ? entry : size_ - entry;
            if (violated == size_) ++violate_all.count;
            if (violated != size_ && violated != 0) atomicAdd(&params_.counts[entry], 1u);
            violations += violated;
            gradient = small_is_more_ ? int64_t{violated} : -int64_t{violated};
            add_gradient(gradient, score, sum);
          }
          if (args_.raw_grad != nullptr) args_.store_count(index_of(k, slot), gradient);
        });
      }
      HingeCounts{.violations = violations}.add_value(margin, 0, sum.value);
      sum.slope = static_cast<double>(violations);
      store_share(stretch, sum);
    }
    add_count(violate_all, params_.counts[small_is_more_ ? size_ : 0]);
  }

  // The entry in [0, P] of an item of the big class: its violated pairs end or begin there.
  __device__ __forceinline__ uint32_t find_entry(Real score, double margin, uint32_t group,
                                                 uint32_t num_pivots) const {
    const Key last = small_is_more_ ? reach_key(score, margin) : ordered_key(score) - 1;
    const Position pivot = first_position({0, num_pivots}, [&](Position p) {
      return shared_.pivots.load(static_cast<int>(p)) > last;
    });
    const Position begin = pivot * group, end = begin + group;
    return first_position({begin, end < size_ ? end : size_},
                          [&](Position r) { return bounds_[r] > last; });
  }

  __device__ __forceinline__ int64_t index_of(int64_t k, int64_t slot) const {
    return k * args_.lists.num_slots + slot;
  }

  __device__ __forceinline__ static void add_gradient(int64_t gradient, Real score,
                                                      ListPartial& sum) {
    HingeCounts{.gradient = gradient}.add_value(0, static_cast<double>(score), sum.value);
  }

  __device__ __forceinline__ void store_share(int64_t share, const ListPartial& own) {
    const ListPartial sum = sum_over_block<kScanThreads>(shared_.partials, own);
    if (threadIdx.x == 0) params_.shares[share] = sum;
  }

  // ---- Phase 5

  __device__ __forceinline__ int64_t num_count_tiles() const {
    return params_.tiles_of(int64_t{size_} + 1);
  }

  __device__ __forceinline__ void sum_tiles() {
#pragma unroll 1
    for (int64_t tile = team_.rank(); tile < num_count_tiles(); tile += team_.size()) {
      const uint32_t total = scan_counts(shared_.scan, params_.counts, tile);
      if (threadIdx.x == 0) params_.totals[tile] = total;
    }
  }

  // ---- Phase 6

  // Item r has its sum at entry r + 1.
  __device__ __forceinline__ void answer_small(int64_t k) {
#pragma unroll 1
    for (int64_t tile = team_.rank(); tile < num_count_tiles(); tile += team_.size()) {
      TeamSort::Count own_before, own_all;
      for (int64_t other = threadIdx.x; other < num_count_tiles(); other += kScanThreads) {
        const uint32_t total = params_.totals[other];
        if (other < tile) own_before.count += total;
        own_all.count += total;
      }
      const uint32_t before =
          scan_block<Sweep::kUp, kScanThreads>(shared_.scan, own_before).total.count;
      const uint32_t all = scan_block<Sweep::kUp, kScanThreads>(shared_.scan, own_all).total.count;
      ListPartial sum;
#pragma unroll 1
      for (int i = 0; i < kScanRun; ++i) {
        const int64_t entry = slot_of_tile(tile, i);
        if (entry == 0 || entry > size_) continue;
        const uint32_t upto = before + params_.counts[entry];
        const int64_t gradient = small_is_more_ ? -int64_t{all - upto} : int64_t{upto};
        if (args_.raw_grad != nullptr) {
          args_.store_count(index_of(k, sorted_.slots[entry - 1]), gradient);
        }
        add_gradient(gradient, value_of_key(sorted_.keys[entry - 1]), sum);
      }
      store_share(params_.num_stretches() + tile, sum);
    }
  }

  // ---- Phase 7

  // One block calls this.
  __device__ __forceinline__ void finish(int64_t k) {
    ListPartial sum;
    const int64_t num_shares = params_.num_stretches() + num_count_tiles();
    for (int64_t share = threadIdx.x; share < num_shares; share += kScanThreads) {
      sum.add(params_.shares[share]);
    }
    sum = sum_over_block<kScanThreads>(shared_.partials, sum);
    sum.pairs = static_cast<double>(size_) * others_;
    if (threadIdx.x == 0) params_.records[k] = store_list<Real>(args_, k, 0, sum);
    __syncthreads();
  }

  const Team& team_;
  SmallClassShared<Key>& shared_;
  const SmallClassParams<Real>& params_;
  const PairwiseArgs& args_;

  uint64_t small_label_ = 0;
  bool small_is_more_ = false;
  uint32_t size_ = 0;    // P
  uint32_t others_ = 0;  // items of the big class
  Order<Key> sorted_{};
  const Key* bounds_ = nullptr;
};

template <typename Real>
__global__ void __launch_bounds__(kScanThreads, kLongListsBlocks)
    small_class_kernel(const __grid_constant__ SmallClassParams<Real> params) {
  __shared__ SmallClassShared<ScoreKey<Real>> shared;
  const GridTeam team;
  SmallClass<Real, GridTeam>(team, shared, params).solve();
}

}  // namespace fused_rankloss
