// SPDX-License-Identifier: BSD-3-Clause
//
// The blocks of a cooperative launch, for kernels of several phases:
//
//   for (int64_t tile = grid.rank(); tile < num_tiles; tile += grid.size()) ...  one block per tile
//   grid.sync();                                  all writes are now visible to all threads
//
// A grid may have one block. The results of a tile do not depend on the number of blocks.
// `GridType` in other files is Grid.
#pragma once

#include <cstdint>

#include "common/platform.h"

#ifdef __CUDACC__
#include <cooperative_groups.h>
#endif

namespace fused_rankloss::cuda {

// Barriers with a call site. The host harness (tests/cuda_host) defines its own versions, which
// report the call site.
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

struct Grid {
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
