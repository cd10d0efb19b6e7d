// SPDX-License-Identifier: BSD-3-Clause
//
// Sums over the rows of each list, in one launch and always in the same order.
//
// Slots are cut into chunks of 32, a warp's width. Within a chunk, a segmented scan through
// shuffles sums the rows of each list, and the sum goes to a place of its own in a workspace. The
// last block to finish adds these up. The places need no table: sorted by slot, every next (chunk,
// list) that share a slot has a greater chunk, a greater list or both, so chunk + list names each
// one uniquely, in [0, num_chunks + num_lists).
#pragma once

#include "common/compensated_sum.h"
#include "common/workspace.h"
#include "cuda/lists/lists.cuh"
#include "cuda/lists/policy.h"
#include "cuda/primitives/shared_array.cuh"
#include "cuda/primitives/warp.cuh"

namespace fused_rankloss::cuda {

// What some rows of a list add to it.
struct ListPartial {
  CompensatedSum value;
  double slope = 0;  // of the value, by the margin
  double pairs = 0;  // their (weighted) number; NaN poisons the list

  __device__ __forceinline__ void add(const ListPartial& other) {
    value.add(other.value);
    slope += other.slope;
    pairs += other.pairs;
  }

  // The partial of another lane: Shuffle maps a double to that lane's.
  template <typename Shuffle>
  __device__ __forceinline__ ListPartial shuffled(Shuffle shuffle) const {
    return {{shuffle(value.high), shuffle(value.low)}, shuffle(slope), shuffle(pairs)};
  }
};

// An infinite margin beside an infinite score makes gaps without a value: the slope of such an item
// is NaN (list_outcome in reduce.cuh).
FRL_HD bool has_no_gap(double margin, double score) {
  return !is_finite(margin) && !is_finite(score);
}

// Thread 0 gets the sum over all threads of a block. Every thread calls this.
template <int kThreads>
__device__ __forceinline__ ListPartial
sum_over_block(SharedArray<ListPartial, kThreads / kWarpSize>& warps, ListPartial partial) {
#pragma unroll 1
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    partial.add(partial.shuffled(
        [distance](double value) { return __shfl_down_sync(kAllLanes, value, distance); }));
  }
  __syncthreads();  // of an earlier call, everyone has read
  if (lane_index() == 0) warps.store(warp_index(), partial);
  __syncthreads();
  ListPartial sum;
#pragma unroll 1
  for (int warp = 0; threadIdx.x == 0 && warp < kThreads / kWarpSize; ++warp) {
    sum.add(warps.load(warp));
  }
  return sum;
}

struct ListPartials {
  ListPartial* data;  // [K, num_chunks + num_lists]
  int64_t num_chunks;
  int64_t num_lists;
  int64_t crossover;         // lists of more slots are long
  bool whole_lists = false;  // a list has one partial, in its first chunk: not only long ones

  static int64_t num_chunks_of(const Lists& lists) {
    return (lists.num_slots + kWarpSize - 1) / kWarpSize;
  }

  FRL_HD ListPartial& at(int64_t k, int64_t chunk, int64_t list) const {
    return data[k * (num_chunks + num_lists) + chunk + list];
  }
};

// Room for the partials of a call.
inline ListPartials list_partials(Workspace& workspace, const Lists& lists, int64_t num_margins,
                                  int64_t crossover, bool whole_lists) {
  const int64_t num_chunks = ListPartials::num_chunks_of(lists);
  return {workspace.take<ListPartial>(num_margins * (num_chunks + lists.num_lists)), num_chunks,
          lists.num_lists, crossover, whole_lists};
}

// Sums the partials of a warp's 32 consecutive rows list by list, and stores each list's sum, or
// adds it to what is there. All 32 lanes call this; `list` ascends with the lane, and kNoList rows
// in between and at the end are left out.
__device__ __forceinline__ void store_chunk(const ListPartials& partials, int64_t k, int64_t chunk,
                                            int64_t list, ListPartial partial,
                                            bool accumulate = false) {
  const int lane = lane_index();
#pragma unroll 1
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const int64_t earlier_list = __shfl_up_sync(kAllLanes, list, distance);
    ListPartial earlier = partial.shuffled(
        [distance](double value) { return __shfl_up_sync(kAllLanes, value, distance); });
    if (lane >= distance && earlier_list == list) {
      earlier.add(partial);
      partial = earlier;
    }
  }
  const int64_t next_list = __shfl_down_sync(kAllLanes, list, 1);
  const bool last_of_list = lane == kWarpSize - 1 || next_list != list;
  if (list == kNoList || !last_of_list) return;
  ListPartial& sum = partials.at(k, chunk, list);
  if (accumulate) {
    sum.add(partial);
  } else {
    sum = partial;
  }
}

// The sums of 32 consecutive lists, one to each lane; lanes past the last list get 0. All 32 lanes
// call this. A list of up to 32 chunks is one lane's work, a longer one the whole warp's.
__device__ __forceinline__ ListPartial sum_lists(const ListPartials& partials, int64_t k,
                                                 const Lists& lists, int64_t first_list) {
  const int lane = lane_index();
  const int64_t own_list = first_list + lane;
  const Range slots = own_list < lists.num_lists ? lists.slots(own_list) : Range{0, 0};
  const int64_t first_chunk = slots.begin / kWarpSize;
  int64_t num_chunks = slots.size() > 0 ? (slots.end - 1) / kWarpSize - first_chunk + 1 : 0;
  const bool whole = partials.whole_lists || slots.size() > partials.crossover;
  if (whole && num_chunks > 1) num_chunks = 1;

  ListPartial sum;
  if (num_chunks <= kWarpSize) {
#pragma unroll 2
    for (int64_t i = 0; i < num_chunks; ++i) sum.add(partials.at(k, first_chunk + i, own_list));
  }
  unsigned long_lists = __ballot_sync(kAllLanes, num_chunks > kWarpSize);
  while (long_lists != 0) {
    const int owner = __ffs(long_lists) - 1;
    long_lists &= long_lists - 1;
    const int64_t owner_chunk = __shfl_sync(kAllLanes, first_chunk, owner);
    const int64_t owner_chunks = __shfl_sync(kAllLanes, num_chunks, owner);
    ListPartial part;
#pragma unroll 2
    for (int64_t i = lane; i < owner_chunks; i += kWarpSize) {
      part.add(partials.at(k, owner_chunk + i, first_list + owner));
    }
#pragma unroll 1
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
      part.add(part.shuffled(
          [distance](double value) { return __shfl_down_sync(kAllLanes, value, distance); }));
    }
    part = part.shuffled([](double value) { return __shfl_sync(kAllLanes, value, 0); });
    if (lane == owner) sum = part;
  }
  return sum;
}

}  // namespace fused_rankloss::cuda
