// SPDX-License-Identifier: BSD-3-Clause
//
// The unweighted hinge of one long list whose scores have 16 bits, in O(n) and without a sort:
// losses/hinge_counts.h has the equations. One cooperative launch, with barriers of the grid
// between these phases:
//
//   1. items are counted by cell: a level of labels, by its entry in a LevelTable, and a score
//   2. cells become the number of items below them in their tile of scores
//   3. for a margin: what each score violates; gradients by cell, and its share in the loss
//   4. for a margin: every item looks up its gradient; phase 3 of the next margin
//   5. one block sums up the shares
//
// The number of levels shows in phase 1. Beyond what a LevelTable holds everyone leaves, and
// long_lists_kernel, which comes next and has nothing to do otherwise, sorts the list after all;
// labels of type bool need none.
//
// One list only: the tables of a batch would have to be read list by list, with four barriers
// each, where long_lists.cuh sorts all of its lists at once.
//
// Mapping      A block a tile of kScanTile consecutive slots or scores, or of a score a thread
// Memory       Scores and labels are read once, and once more for each margin. The tables, 20 bytes
//              a cell, do not grow with the list.
// Atomics      A block counts the cells that it meets first in shared memory, so that scores that
//              many items share do not wait for each other
// Numerics     As those of LongCounts (long_terms.cuh)
// Determinism  Bitwise: counts are integers, a gradient is one thread's, and sums over tiles of
//              scores have a fixed order
#pragma once

#include "common/half_keys.h"
#include "cuda/list_results.cuh"
#include "cuda/one_list.cuh"
#include "losses/hinge_counts.h"

namespace fused_rankloss {

// ---- Parameters ------------------------------------------------------------

inline constexpr int kHalfRows = LevelTable::kEntries + 1;  // of cells: of entries and the key 0
inline constexpr int kHalfTiles = kHalfKeys / kScanTile;    // of a row
inline constexpr int kHalfShares = kHalfKeys / kScanThreads;

struct HalfListParams {
  PairwiseArgs args;
  // Workspace: zero
  LevelTable* levels;
  uint32_t* solved;  // in the end, unless there are too many levels
  uint32_t* counts;  // [rows, kHalfKeys]: of items, then of those below in the tile
  // Workspace: uninitialised
  uint32_t* totals;       // [rows, kHalfTiles]
  int64_t* gradients[2];  // [rows, kHalfKeys]: of even and odd margins
  ListPartial* shares;    // [K, kHalfShares]
  BatchTotals* records;   // [K]
  int num_rows;

  FRL_HD double margin(int64_t k) const { return args.margins ? args.margins[k] : args.margin; }
};

// What is read of a slot, whichever of the two types its score has.
__device__ __forceinline__ uint32_t half_key_at(const PairwiseArgs& args, int64_t slot) {
  return half_key(static_cast<const Half*>(args.scores)[slot].bits);
}

// ---- Shared memory ---------------------------------------------------------

struct HalfListShared {
  BlockLevels levels;
  SharedAtomics<uint32_t, kHalfCells> cells;   // plus 1; 0: free
  SharedAtomics<uint32_t, kHalfCells> counts;  // of their items

  ScanShared<TeamSort::Count, kScanThreads> scan;
  SharedArray<int, kHalfRows> rows;                          // of levels, ascending
  SharedArray<uint32_t, kHalfRows*(kHalfTiles + 1)> before;  // items of a row before a tile
  SharedArray<ListPartial, kScanThreads / kWarpSize> partials;
};

// ---- Phases ----------------------------------------------------------------

template <class Team>
class HalfList {
 public:
  __device__ __forceinline__ HalfList(const Team& team, HalfListShared& shared,
                                      const HalfListParams& params)
      : team_(team), shared_(shared), params_(params), args_(params.args) {}

  // All threads of the team call this.
  __device__ __forceinline__ void solve() {
    count_items();
    team_.sync();
    if (params_.levels->is_sorted_by()) return;
    sum_tiles();
    team_.sync();
    order_levels();
    sum_rows();
    answer(0);
    team_.sync();
#pragma unroll 1
    for (int64_t k = 0; k < args_.num_margins; ++k) {
      if (args_.raw_grad != nullptr) store_gradients(k);
      if (k + 1 == args_.num_margins) break;
      answer(k + 1);
      team_.sync();
    }
    if (team_.rank() == 0) finish();
  }

 private:
  // ---- Phase 1

  __device__ __forceinline__ void count_items() {
    const int thread = static_cast<int>(threadIdx.x);
    shared_.levels.clear();
    for (int place = thread; place < kHalfCells; place += kScanThreads) {
      shared_.cells.store(place, 0);
      shared_.counts.store(place, 0);
    }
    __syncthreads();
    for_slots(team_, args_.lists.num_slots, [this](int64_t slot) {
      if (!is_item_of_one_list(args_, slot)) return;
      const int row = shared_.levels.insert(*params_.levels, LevelTable::key(args_, slot));
      if (row >= 0) count(row * kHalfKeys + half_key_at(args_, slot));
    });
    __syncthreads();
    for (int place = thread; place < kHalfCells; place += kScanThreads) {
      const uint32_t count = shared_.counts.load(place);
      if (count != 0) atomicAdd(&params_.counts[shared_.cells.load(place) - 1], count);
    }
  }

  __device__ __forceinline__ void count(uint32_t cell) {
    static_assert(kHalfCells == 1 << (32 - 20));
    const int place = static_cast<int>(cell * 2654435769u >> 20);  // Fibonacci hashing
    uint32_t there = shared_.cells.load(place);
    if (there == 0) there = shared_.cells.compare_and_swap(place, 0, cell + 1);
    if (there == 0 || there == cell + 1) {
      shared_.counts.add(place, 1);
    } else {
      atomicAdd(&params_.counts[cell], 1u);
    }
  }

  // ---- Phase 2

  __device__ __forceinline__ void sum_tiles() {
    const int64_t num_tiles = int64_t{params_.num_rows} * kHalfTiles;
#pragma unroll 1
    for (int64_t tile = team_.rank(); tile < num_tiles; tile += team_.size()) {
      const uint32_t total = scan_counts(shared_.scan, params_.counts, tile);
      if (threadIdx.x == 0) params_.totals[tile] = total;
    }
  }

  // ---- Phase 3

  // Rows are in the order of a race, levels in that of labels.
  __device__ __forceinline__ void order_levels() {
    const LevelTable& levels = *params_.levels;
    const int row = static_cast<int>(threadIdx.x);
    if (row == LevelTable::kEntries && levels.has_zero != 0) shared_.rows.store(0, row);
    if (row < LevelTable::kEntries && levels.entries[row] != 0) {
      shared_.rows.store(static_cast<int>(levels.rank(levels.entries[row])), row);
    }
  }

  __device__ __forceinline__ void sum_rows() {
    static_assert(kHalfTiles == kWarpSize, "a lane has a tile");
    const int lane = lane_index();
#pragma unroll 1
    for (int row = warp_index(); row < params_.num_rows; row += kScanThreads / kWarpSize) {
      const TeamSort::Count own{params_.totals[row * kHalfTiles + lane]};
      const auto scanned = scan_warp<Sweep::kUp>(own);
      shared_.before.store(row * (kHalfTiles + 1) + lane, scanned.before.count);
      if (lane == kWarpSize - 1) {
        shared_.before.store(row * (kHalfTiles + 1) + kHalfTiles, scanned.total.count);
      }
    }
    __syncthreads();
  }

  // Items of a level whose score's key is below this one, which may be kHalfKeys.
  __device__ __forceinline__ int64_t below(int level, uint32_t key) const {
    const int row = shared_.rows.load(level);
    const int tile = static_cast<int>(key / kScanTile);
    const uint32_t before = shared_.before.load(row * (kHalfTiles + 1) + tile);
    return before + (tile < kHalfTiles ? params_.counts[row * kHalfKeys + key] : 0);
  }

  __device__ __forceinline__ int num_levels() const {
    return static_cast<int>(params_.levels->size());
  }

  __device__ __forceinline__ int64_t items_between(uint32_t begin, uint32_t end) const {
    int64_t items = 0;
    for (int level = 0; level < num_levels(); ++level) {
      items += below(level, end) - below(level, begin);
    }
    return items;
  }

  __device__ __forceinline__ void answer(int64_t k) {
    const double margin = params_.margin(k);
#pragma unroll 1
    for (int64_t share = team_.rank(); share < kHalfShares; share += team_.size()) {
      const uint32_t first = static_cast<uint32_t>(share * kScanThreads);
      ListPartial sum;
      if (items_between(first, first + kScanThreads) != 0) {
        sum =
            sum_over_block<kScanThreads>(shared_.partials, answer(k, margin, first + threadIdx.x));
      }
      if (threadIdx.x == 0) params_.shares[k * kHalfShares + share] = sum;
    }
  }

  __device__ __forceinline__ ListPartial answer(int64_t k, double margin, uint32_t key) const {
    const int levels = num_levels();
    ListPartial partial;
    if (items_between(key, key + 1) == 0) return partial;
    int64_t* gradients = params_.gradients[k % 2];
    const auto store = [&](int level, int64_t gradient) {
      gradients[shared_.rows.load(level) * kHalfKeys + key] = gradient;
    };
    const float score = value_of_half_key(key, args_.score_type);
    if (score != score) {
      for (int level = 0; level < levels; ++level) store(level, 0);
      return partial;
    }
    const HingeCounts counts = count_violations(
        levels, kHalfKeys, key, find_reach(margin, score),
        [this](int level, uint32_t at) { return below(level, at); }, store);
    counts.add_value(margin, static_cast<double>(score), partial.value);
    partial.slope = static_cast<double>(counts.violations);
    return partial;
  }

  __device__ __forceinline__ ScoreReach find_reach(double margin, float score) const {
    const Span keys{bottom_half_key(args_.score_type), top_half_key(args_.score_type) + 1};
    const bool inclusive = args_.boundary_grad == 1;
    const auto value = [this](Position key) { return value_of_half_key(key, args_.score_type); };
    const float limit = reach(score, margin, inclusive);
    return {first_position(
                keys, [&](Position key) { return score <= reach(value(key), margin, inclusive); }),
            first_position(keys, [&](Position key) { return !(value(key) <= limit); })};
  }

  // ---- Phase 4

  __device__ __forceinline__ void store_gradients(int64_t k) {
    const int64_t* gradients = params_.gradients[k % 2];
    for_slots(team_, args_.lists.num_slots, [&](int64_t slot) {
      int64_t gradient = 0;
      if (is_item_of_one_list(args_, slot)) {
        const int row = row_of(LevelTable::key(args_, slot));
        gradient = gradients[row * kHalfKeys + half_key_at(args_, slot)];
      }
      args_.store_count(k * args_.lists.num_slots + slot, gradient);
    });
  }

  // Of a key that has one.
  __device__ __forceinline__ int row_of(uint64_t key) const {
    int row = key == 0 ? LevelTable::kEntries : 0;
#pragma unroll 1
    while (row < LevelTable::kEntries && params_.levels->entries[row] != key) ++row;
    return row;
  }

  // ---- Phase 5

  // One block calls this.
  __device__ __forceinline__ void finish() {
    const double pairs = num_pairs();
    for (int64_t k = 0; k < args_.num_margins; ++k) {
      ListPartial sum = sum_over_block<kScanThreads>(
          shared_.partials, params_.shares[k * kHalfShares + static_cast<int>(threadIdx.x)]);
      sum.pairs = pairs;
      if (threadIdx.x == 0) params_.records[k] = store_list<float>(args_, k, 0, sum);
    }
    __syncthreads();
    finish_batch<float, kScanThreads>(args_, params_.records, 1);
    if (threadIdx.x == 0) *params_.solved = 1;
  }
  static_assert(kHalfShares == kScanThreads, "a thread has a share");

  // NaN for a poisoned list: one with NaN, or equal infinities of different labels.
  __device__ __forceinline__ double num_pairs() const {
    const uint32_t bottom = bottom_half_key(args_.score_type), top = top_half_key(args_.score_type);
    const bool nan_label = params_.levels->has_zero != 0 && args_.label_type >= LabelType::kHalf;
    int64_t nans = 0;
    int at_bottom = 0, at_top = 0;
    double pairs = 0, less = 0;
    for (int level = 0; level < num_levels(); ++level) {
      const int64_t items = below(level, kHalfKeys);
      nans += below(level, bottom) + items - below(level, top + 1);
      at_bottom += below(level, bottom) != below(level, bottom + 1);
      at_top += below(level, top) != below(level, top + 1);
      pairs += static_cast<double>(items) * less;
      less += static_cast<double>(items);
    }
    const bool poisoned = nan_label || nans != 0 || at_bottom > 1 || at_top > 1;
    return poisoned ? kNan<double> : pairs;
  }

  const Team& team_;
  HalfListShared& shared_;
  const HalfListParams& params_;
  const PairwiseArgs& args_;
};

__global__ void __launch_bounds__(kScanThreads, kHalfBlocks)
    half_list_kernel(const __grid_constant__ HalfListParams params) {
  __shared__ HalfListShared shared;
  const GridTeam team;
  HalfList<GridTeam>(team, shared, params).solve();
}

}  // namespace fused_rankloss
