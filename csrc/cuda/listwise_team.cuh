// SPDX-License-Identifier: BSD-3-Clause
//
// The threads that share a short list, a warp or a block, with what the listwise losses need of
// them beyond list_team.cuh. All threads of a team call each function.
#pragma once

#include "cuda/block_scan.cuh"
#include "cuda/list_team.cuh"
#include "cuda/listwise_policy.h"

namespace fused_rankloss {

class ListwiseTeam : public ListTeam {
 public:
  using ListTeam::ListTeam;

  // The total of a warp comes in the same order as that of a block whose other warps have nothing.
  template <Sweep kSweep, typename State>
  __device__ __forceinline__ Scanned<State> scan(ScanShared<State, kBlockThreads>& shared,
                                                 const State& own) const {
    if (is_block()) return scan_block<kSweep, kBlockThreads>(shared, own);
    const Scanned<State> scanned = scan_warp<kSweep>(own);
    constexpr int kLast = kSweep == Sweep::kUp ? kWarpSize - 1 : 0;
    return {scanned.before, scanned.total.shuffled(
                                [](auto value) { return __shfl_sync(kAllLanes, value, kLast); })};
  }

  // The team's cells of an array for a block.
  __device__ __forceinline__ int cell(int index) const { return first_cell() + index; }
};

using SortKeys = SharedArray<uint64_t, kBlockListItems>;
using SortSlots = SharedArray<uint16_t, kBlockListItems>;

// Sorts the team's first `size` cells by (key, slot): a bitonic network in which all comparisons
// point upwards, so that cells beyond the end, as if they held the highest key, never move.
__device__ __forceinline__ void sort_cells(const ListwiseTeam& team, SortKeys& keys,
                                           SortSlots& slots, int size) {
  const auto order = [&](int low, int high) {
    if (high >= size) return;
    low = team.cell(low);
    high = team.cell(high);
    const uint64_t low_key = keys.load(low), high_key = keys.load(high);
    const uint16_t low_slot = slots.load(low), high_slot = slots.load(high);
    if (low_key < high_key || (low_key == high_key && low_slot < high_slot)) return;
    keys.store(low, high_key);
    keys.store(high, low_key);
    slots.store(low, high_slot);
    slots.store(high, low_slot);
  };
#pragma unroll 1
  for (int half = 1; half < size; half *= 2) {
    // Two sorted stretches of `half` cells become one: the second is met backwards.
#pragma unroll 1
    for (int pair = team.thread(); pair / half * 2 * half < size; pair += team.size()) {
      const int begin = pair / half * 2 * half, offset = pair % half;
      order(begin + offset, begin + 2 * half - 1 - offset);
    }
    team.sync();
#pragma unroll 1
    for (int distance = half / 2; distance > 0; distance /= 2) {
#pragma unroll 1
      for (int pair = team.thread(); pair / distance * 2 * distance < size; pair += team.size()) {
        const int low = pair / distance * 2 * distance + pair % distance;
        order(low, low + distance);
      }
      team.sync();
    }
  }
}

}  // namespace fused_rankloss
