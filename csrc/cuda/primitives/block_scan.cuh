// SPDX-License-Identifier: BSD-3-Clause
//
// Scans over the threads of a block, from the first thread up or from the last one down.
//
// A State is what some threads make together. It has a neutral default value and
//
//   static State combine(const State& earlier, const State& later)   associative; order matters
//   State shuffled(Shuffle shuffle) const                            of the lane that Shuffle reads
//
// `earlier` is what the sweep met first: on the way down, the higher thread.
//
// Determinism  the shape of the tree depends on the number of threads alone
#pragma once

#include "cuda/primitives/shared_array.cuh"
#include "cuda/primitives/warp.cuh"

namespace fused_rankloss::cuda {

enum class Sweep { kUp, kDown };

// A thread's share in a scan: of all that the sweep met before it, and of the whole block.
template <typename State>
struct Scanned {
  State before;
  State total;
};

template <typename State, int kThreads>
using ScanShared = SharedArray<State, kThreads / kWarpSize>;

// The same of a warp, but `total` is that up to the lane, and so of the warp only in the last one.
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

// Numbers become the sum of those before them; the sum of all is returned. All lanes of a warp call
// this.
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

  __syncthreads();  // of an earlier scan, everyone has read
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
