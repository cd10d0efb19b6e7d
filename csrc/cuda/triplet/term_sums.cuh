// SPDX-License-Identifier: BSD-3-Clause
//
// Sums of the terms of a triplet loss over all rows, in one launch and always in the same order:
// blocks sum rows of their own, and the last block to finish adds the blocks' sums up.
#pragma once

#include "cuda/primitives/last_block.cuh"
#include "cuda/primitives/shared_array.cuh"
#include "cuda/primitives/warp.cuh"
#include "cuda/triplet/policy.h"

namespace fused_rankloss::cuda::triplet {

struct TermSums {
  double value = 0;
  double terms = 0;
  double nonzero = 0;

  __device__ __forceinline__ void add(const TermSums& other) {
    value += other.value;
    terms += other.terms;
    nonzero += other.nonzero;
  }
};

// Workspace of one sum over a grid.
struct TermPartials {
  TermSums* blocks;    // [gridDim.x], uninitialised
  uint32_t* finished;  // [1], 0
};

__device__ __forceinline__ TermSums sum_over_warp(TermSums sums) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    sums.add({__shfl_down_sync(kAllLanes, sums.value, distance),
              __shfl_down_sync(kAllLanes, sums.terms, distance),
              __shfl_down_sync(kAllLanes, sums.nonzero, distance)});
  }
  return sums;
}

// The sum over a block of kTripletThreads, in every thread.
__device__ __forceinline__ TermSums sum_over_block(TermSums sums) {
  __shared__ SharedArray<TermSums, kTripletWarps> warp_sums;
  sums = sum_over_warp(sums);
  __syncthreads();  // of an earlier call, everyone has read
  if (lane_index() == 0) warp_sums.store(warp_index(), sums);
  __syncthreads();
  TermSums total;
  for (int warp = 0; warp < kTripletWarps; ++warp) total.add(warp_sums.load(warp));
  return total;
}

// Every thread of every block brings a sum. Calls `body` with the total in one thread of the grid.
template <typename Body>
__device__ __forceinline__ void sum_over_grid(const TermPartials& partials, const TermSums& sums,
                                              Body body) {
  const TermSums block = sum_over_block(sums);
  if (threadIdx.x == 0) partials.blocks[blockIdx.x] = block;
  if (!is_last_block(partials.finished)) return;
  TermSums total;
  for (unsigned other = threadIdx.x; other < gridDim.x; other += kTripletThreads) {
    total.add(partials.blocks[other]);
  }
  total = sum_over_block(total);
  if (threadIdx.x == 0) body(total);
}

}  // namespace fused_rankloss::cuda::triplet
