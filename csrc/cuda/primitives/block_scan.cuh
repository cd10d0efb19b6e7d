// SPDX-License-Identifier: BSD-3-Clause
//
// Scans over the threads of a block, from the first thread up or from the last one down.
//
// A State is the reduction over a range of threads. Its default value is the identity, and it has
//
//   static State combine(const State& earlier, const State& later)   associative; order matters
//   State shuffled(Shuffle shuffle) const                            of the lane that Shuffle reads
//
// `earlier` comes first in scan order: in a downward scan it is that of the higher threads.
//
// Determinism  the shape of the tree depends only on the number of threads
#pragma once

#include "cuda/primitives/shared_array.cuh"
#include "cuda/primitives/warp.cuh"

namespace fused_rankloss::cuda {

enum class Sweep { kUp, kDown };

// A thread's result of a scan: the exclusive prefix, and the reduction over the whole block.
template <typename State>
struct Scanned {
  State before;
  State total;
};

template <typename State, int kThreads>
using ScanShared = SharedArray<State, kThreads / kWarpSize>;

// Scan over a warp. Here `total` is the inclusive prefix of the lane, so only the last lane in scan
// order has the reduction over the warp.
template <Sweep kSweep, typename State>
__device__ __forceinline__ Scanned<State> scan_warp(const State& own) {
  constexpr bool kUp = kSweep == Sweep::kUp;
  const int lane = kUp ? lane_index() : kWarpSize - 1 - lane_index();  // in the sweep's order
  const auto from_earlier = [](const State& state, int distance) {
    return state.shuffled([distance](auto value) {
      return kUp ? __shfl_up_sync(kAllLanes, value, distance)
                 : __shfl_down_sync(kAllLanes, value, distance);
    });
  };
  State inclusive = own;
#pragma unroll 1
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const State earlier = from_earlier(inclusive, distance);
    if (lane >= distance) inclusive = State::combine(earlier, inclusive);
  }
  State before = from_earlier(inclusive, 1);
  if (lane == 0) before = State{};
  return {before, inclusive};
}

// Exclusive prefix sum in place; returns the sum of all numbers. All lanes of a warp call this.
__device__ __forceinline__ uint32_t scan_numbers(uint32_t* numbers, int64_t size) {
  uint32_t total = 0;
#pragma unroll 1
  for (int64_t step = 0; step < size; step += kWarpSize) {
    const int64_t index = step + lane_index();
    const uint32_t own = index < size ? numbers[index] : 0;
    uint32_t upto = own;
#pragma unroll 1
    for (int distance = 1; distance < kWarpSize; distance *= 2) {
      const uint32_t earlier = __shfl_up_sync(kAllLanes, upto, distance);
      if (lane_index() >= distance) upto += earlier;
    }
    if (index < size) numbers[index] = total + upto - own;
    total += __shfl_sync(kAllLanes, upto, kWarpSize - 1);
  }
  return total;
}

// Every thread calls this.
template <Sweep kSweep, int kThreads, typename State>
__device__ __forceinline__ Scanned<State> scan_block(ScanShared<State, kThreads>& shared,
                                                     const State& own) {
  constexpr int kWarps = kThreads / kWarpSize;
  constexpr bool kUp = kSweep == Sweep::kUp;
  const int lane = kUp ? lane_index() : kWarpSize - 1 - lane_index();  // in the sweep's order
  const int warp = kUp ? warp_index() : kWarps - 1 - warp_index();
  const auto [before, inclusive] = scan_warp<kSweep>(own);

  __syncthreads();  // all threads have read `shared` of an earlier scan
  if (lane == kWarpSize - 1) shared.store(warp, inclusive);
  __syncthreads();
  State prefix, total;
#pragma unroll 1
  for (int w = 0; w < kWarps; ++w) {
    if (w == warp) prefix = total;
    total = State::combine(total, shared.load(w));
  }
  return {State::combine(prefix, before), total};
}

}  // namespace fused_rankloss::cuda
