// SPDX-License-Identifier: BSD-3-Clause
//
// The sort of a short list's cells by its team, a warp or a block (warp_or_block.cuh). Runs of
// equal labels have a sort of their own, list_sort.cuh.
#pragma once

#include "cuda/lists/warp_or_block.cuh"

namespace fused_rankloss::cuda {

using CellWords = SharedArray<uint64_t, kBlockListItems>;

// Sorts the team's keys [0, size) and takes the values with them; equal keys keep their order. All
// threads of the team call this, and it ends with their barrier.
//
// Groups of 32 by counting: a lane's place is the number of lanes that come before it. Then merges
// of two neighbouring stretches: an item's place is its place in its own, and the number of items
// that come before it in the other, which a binary search finds.
template <typename Value>
__device__ __forceinline__ void sort_cells(const ListTeam& team, CellWords& all_keys,
                                           SharedArray<Value, kBlockListItems>& all_values,
                                           int size) {
  constexpr int kOwn = ListTeam::kOwn;
  const int first = team.first_cell();
  const int lane = lane_index();
#pragma unroll 1
  for (int cell = team.thread(); cell - lane < size; cell += team.size()) {
    const bool there = cell < size;
    const uint64_t key = there ? all_keys.load(first + cell) : UINT64_MAX;
    const Value value = there ? all_values.load(first + cell) : Value{};
    int before = 0;
#pragma unroll 4
    for (int other = 0; other < kWarpSize; ++other) {
      const uint64_t other_key = __shfl_sync(kAllLanes, key, other);
      before += other_key < key || (other_key == key && other < lane);
    }
    __syncwarp();
    if (there) {
      all_keys.store(first + cell - lane + before, key);
      all_values.store(first + cell - lane + before, value);
    }
  }
  team.sync();

#pragma unroll 1
  for (int length = kWarpSize; length < size; length *= 2) {
    uint64_t keys[kOwn];
    Value values[kOwn];
    int targets[kOwn];
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      const int cell = team.thread() + r * team.size();
      if (cell >= size) continue;
      const int own = cell & -length;
      const int other = own ^ length;
      const int other_begin = other < size ? other : size;
      const int other_end = other + length < size ? other + length : size;
      keys[r] = all_keys.load(first + cell);
      values[r] = all_values.load(first + cell);
      // Of equal keys, those on the left come first.
      const int before = first_that(other_begin, other_end, [&](int at) {
        const uint64_t key = all_keys.load(first + at);
        return own < other ? key >= keys[r] : key > keys[r];
      });
      targets[r] = (own < other ? own : other) + (cell - own) + (before - other_begin);
    }
    team.sync();
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      if (team.thread() + r * team.size() >= size) continue;
      all_keys.store(first + targets[r], keys[r]);
      all_values.store(first + targets[r], values[r]);
    }
    team.sync();
  }
}

}  // namespace fused_rankloss::cuda
