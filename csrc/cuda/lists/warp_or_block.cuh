// SPDX-License-Identifier: BSD-3-Clause
//
// The threads that share a list in pairwise/short.cuh, a warp or a block, and what they do
// together. All threads of a team call each function.
#pragma once

#include "cuda/lists/partials.cuh"
#include "cuda/lists/policy.h"
#include "cuda/primitives/shared_array.cuh"

namespace fused_rankloss::cuda {

// The first of [begin, end) that `holds` is true for, given that it is for all that follow.
template <typename Predicate>
__device__ __forceinline__ int first_that(int begin, int end, Predicate&& holds) {
  while (begin < end) {
    const int middle = (begin + end) / 2;
    if (holds(middle)) {
      end = middle;
    } else {
      begin = middle + 1;
    }
  }
  return begin;
}

// The smaller key of two lanes that are 1, 2, 4, .. apart, until all have the smallest.
template <typename Key>
__device__ __forceinline__ Key warp_min(Key key) {
#pragma unroll
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    const Key other = __shfl_xor_sync(kAllLanes, key, distance);
    key = other < key ? other : key;
  }
  return key;
}

// Lane 0 gets the sum, which is always added up in the same order.
template <typename Sums>
__device__ __forceinline__ Sums warp_sum(Sums sums) {
#pragma unroll 1
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    sums.add(sums.shuffled(
        [distance](double value) { return __shfl_down_sync(kAllLanes, value, distance); }));
  }
  return sums;
}

// How the items that a warp picks lie among those that its team picks, and the least key of what is
// left.
template <typename Key>
struct Selection {
  int before;  // picked by the team's earlier warps
  int total;
  Key next;
};

// What a block's warps tell each other.
struct ListTeamShared {
  static constexpr int kCells = 2 * kListWarps;
  SharedArray<int, kCells> picked;  // [2, warps]: two, so that one barrier is enough
  SharedArray<int64_t, kCells> next;
  SharedArray<ListPartial, kListWarps> partials;
};

// A warp with cells of its own, or the block with all of them. Which one shows at run time, so that
// the code is there once; either way a thread has kOwn items.
class ListTeam {
 public:
  static constexpr int kBlockThreads = kListWarps * kWarpSize;
  static constexpr int kOwn = kWarpListItems / kWarpSize;
  static_assert(kOwn * kBlockThreads == kBlockListItems);

  __device__ __forceinline__ ListTeam(ListTeamShared& shared, bool is_block)
      : shared_(shared), is_block_(is_block) {}

  __device__ __forceinline__ bool is_block() const { return is_block_; }
  __device__ __forceinline__ int size() const { return is_block_ ? kBlockThreads : kWarpSize; }
  __device__ __forceinline__ int thread() const {
    return is_block_ ? static_cast<int>(threadIdx.x) : lane_index();
  }
  __device__ __forceinline__ int first_cell() const {
    return is_block_ ? 0 : warp_index() * kWarpListItems;
  }
  __device__ __forceinline__ void sync() const {
    if (is_block_) {
      __syncthreads();
    } else {
      __syncwarp();
    }
  }

  // How many of the team's threads say so, and whether any does.
  __device__ __forceinline__ int count(bool flag) const {
    return is_block_ ? __syncthreads_count(flag) : __popc(__ballot_sync(kAllLanes, flag));
  }
  __device__ __forceinline__ bool any(bool flag) const { return count(flag) > 0; }

  template <typename Key>
  __device__ __forceinline__ Selection<Key> select(int picked, Key next) {
    Selection<Key> selection{0, picked, next};
    if (!is_block_) return selection;
    turn_ = kListWarps - turn_;
    if (lane_index() == 0) {
      shared_.picked.store(turn_ + warp_index(), picked);
      shared_.next.store(turn_ + warp_index(), next);
    }
    __syncthreads();
    selection.total = 0;
#pragma unroll 2
    for (int warp = 0; warp < kListWarps; ++warp) {
      const int others = shared_.picked.load(turn_ + warp);
      const Key least = static_cast<Key>(shared_.next.load(turn_ + warp));
      if (warp < warp_index()) selection.before += others;
      selection.total += others;
      selection.next = least < selection.next ? least : selection.next;
    }
    return selection;
  }

  // Thread 0 gets the sum.
  __device__ __forceinline__ ListPartial sum(const ListPartial& partial) {
    ListPartial total = warp_sum(partial);
    if (!is_block_) return total;
    if (lane_index() == 0) shared_.partials.store(warp_index(), total);
    __syncthreads();
    total = {};
#pragma unroll 1
    for (int warp = 0; threadIdx.x == 0 && warp < kListWarps; ++warp) {
      total.add(shared_.partials.load(warp));
    }
    return total;
  }

 private:
  ListTeamShared& shared_;
  bool is_block_;
  int turn_ = 0;  // first cell of the last exchange: 0 or kListWarps
};

}  // namespace fused_rankloss::cuda
