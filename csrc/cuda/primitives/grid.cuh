// SPDX-License-Identifier: BSD-3-Clause
//
// Thread blocks that go through phases together. A phase is written once, over a Team:
//
//   for (int64_t tile = team.rank(); tile < num_tiles; tile += team.size()) ...  a block a tile
//   team.sync();                                  everybody's writes are now seen by everybody
//
// GridTeam is all blocks of a cooperative launch, which may be one. What a tile yields does not
// depend on how many they are.
#pragma once

#include <cstdint>

#include "common/platform.h"

#ifdef __CUDACC__
#include <cooperative_groups.h>
#endif

namespace fused_rankloss::cuda {

// Barriers that tell the host harness (tests/cuda_host), which brings its own, who called them.
#ifdef __CUDACC__
struct CallSite {
  __device__ __forceinline__ static constexpr CallSite current() { return {}; }
};

__device__ __forceinline__ void block_barrier(CallSite /*site*/ = CallSite::current()) {
  __syncthreads();
}

__device__ __forceinline__ void grid_barrier(CallSite /*site*/ = CallSite::current()) {
  cooperative_groups::this_grid().sync();
}
#endif

struct GridTeam {
  __device__ __forceinline__ int64_t rank() const { return blockIdx.x; }
  __device__ __forceinline__ int64_t size() const { return gridDim.x; }
  __device__ __forceinline__ void sync(CallSite site = CallSite::current()) const {
    if (gridDim.x == 1) {
      block_barrier(site);
    } else {
      grid_barrier(site);
    }
  }
};

}  // namespace fused_rankloss::cuda
