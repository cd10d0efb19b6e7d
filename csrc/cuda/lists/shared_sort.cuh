// SPDX-License-Identifier: BSD-3-Clause
//
// Merge sort of a short list in shared memory, by a warp or a block (warp_or_block.cuh).
#pragma once

#include "cuda/lists/warp_or_block.cuh"

namespace fused_rankloss::cuda {

using CellWords = SharedArray<uint64_t, kBlockListItems>;

// Stable sort of the group's keys [0, size) with their values. All threads of the group call this;
// it ends with a barrier of the group.
//
// First sorts segments of 32 by counting: an item's rank is the number of lanes that precede it.
// Then merges pairs of neighbouring segments: an item's rank is its rank in its own segment plus
// the number of items that precede it in the other, which a binary search finds.
template <typename Value>
__device__ __forceinline__ void sort_cells(const WarpOrBlock& group, CellWords& all_keys,
                                           SharedArray<Value, kBlockListItems>& all_values,
                                           int size) {
  constexpr int kOwn = WarpOrBlock::kOwn;
  const int first = group.first_cell();
  const int lane = lane_index();
#pragma unroll 1
  for (int cell = group.thread(); cell - lane < size; cell += group.size()) {
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
  group.sync();

#pragma unroll 1
  for (int length = kWarpSize; length < size; length *= 2) {
    uint64_t keys[kOwn];
    Value values[kOwn];
    int targets[kOwn];
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      const int cell = group.thread() + r * group.size();
      if (cell >= size) continue;
      const int own = cell & -length;
      const int other = own ^ length;
      const int other_begin = other < size ? other : size;
      const int other_end = other + length < size ? other + length : size;
      keys[r] = all_keys.load(first + cell);
      values[r] = all_values.load(first + cell);
      // Equal keys of the left segment come first.
      const int before = first_that(other_begin, other_end, [&](int at) {
        const uint64_t key = all_keys.load(first + at);
        return own < other ? key >= keys[r] : key > keys[r];
      });
      targets[r] = (own < other ? own : other) + (cell - own) + (before - other_begin);
    }
    group.sync();
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      if (group.thread() + r * group.size() >= size) continue;
      all_keys.store(first + targets[r], keys[r]);
      all_values.store(first + targets[r], values[r]);
    }
    group.sync();
  }
}

}  // namespace fused_rankloss::cuda
