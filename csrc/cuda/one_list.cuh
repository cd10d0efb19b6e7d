// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernels of one list alone have in common (half_list.cuh, small_class.cuh): its slots and
// counts, in tiles, and the levels of its labels, of which a block keeps a copy.
//
// Determinism  The order of a LevelTable's entries is that of a race
#pragma once

#include "common/pairwise_args.h"
#include "cuda/label_ranks.cuh"

namespace fused_rankloss {

__device__ __forceinline__ bool is_item_of_one_list(const PairwiseArgs& args, int64_t slot) {
  return real_range(args.lists, 0, slot).size() > 0;
}

// ---- Slots -----------------------------------------------------------------

// Calls body(slot) for the thread's slots of a tile.
template <typename Body>
__device__ __forceinline__ void for_slots_of_tile(int64_t tile, int64_t num_slots, Body&& body) {
#pragma unroll 4
  for (int i = 0; i < kScanRun; ++i) {
    const int64_t slot = tile * kScanTile + i * kScanThreads + static_cast<int>(threadIdx.x);
    if (slot < num_slots) body(slot);
  }
}

// The same of the team's tiles.
template <class Team, typename Body>
__device__ __forceinline__ void for_slots(const Team& team, int64_t num_slots, Body&& body) {
#pragma unroll 1
  for (int64_t tile = team.rank(); tile * kScanTile < num_slots; tile += team.size()) {
    for_slots_of_tile(tile, num_slots, body);
  }
}

// ---- Counts ----------------------------------------------------------------

// A tile of counts becomes the sums of those before them in the tile; that of all is returned.
// Every thread of a block calls this.
__device__ __forceinline__ uint32_t scan_counts(ScanShared<TeamSort::Count, kScanThreads>& shared,
                                                uint32_t* counts, int64_t tile) {
  const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kScanRun;
  RunOf<uint32_t> run = load_run(counts, first);
  TeamSort::Count own;
#pragma unroll
  for (int p = 0; p < kScanRun; ++p) {
    const uint32_t count = run.at[p];
    run.at[p] = own.count;
    own.count += count;
  }
  const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared, own);
#pragma unroll
  for (int p = 0; p < kScanRun; ++p) run.at[p] += scanned.before.count;
  store_run(counts, first, run);
  return scanned.total.count;
}

// ---- Levels ----------------------------------------------------------------

// The entries of a LevelTable that a block has met, so that it asks the table once for each.
struct BlockLevels {
  SharedAtomics<unsigned long long, LevelTable::kEntries> entries;
  SharedAtomics<uint32_t, 1> has_more;

  // Every thread of the block calls this, and a barrier has to follow.
  __device__ __forceinline__ void clear() {
    const int thread = static_cast<int>(threadIdx.x);
    if (thread < LevelTable::kEntries) entries.store(thread, 0);
    if (thread == 0) has_more.store(0, 0);
  }

  // As LevelTable::insert.
  __device__ __forceinline__ int insert(LevelTable& levels, uint64_t key) {
#pragma unroll 1
    for (int row = 0; row < LevelTable::kEntries && key != 0; ++row) {
      if (entries.load(row) == key) return row;
    }
    if (has_more.load(0) != 0) return -1;
    const int row = levels.insert(key);
    if (row < 0) has_more.exchange(0, 1);
    if (row >= 0 && row < LevelTable::kEntries) {
      entries.exchange(row, static_cast<unsigned long long>(key));
    }
    return row;
  }
};

}  // namespace fused_rankloss
