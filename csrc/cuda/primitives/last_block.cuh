// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "common/platform.h"

namespace fused_rankloss::cuda {

// Whether the block is the last of the grid to come here: it may read what all others stored
// before. `finished` counts blocks from 0. All threads of every block call this.
__device__ __forceinline__ bool is_last_block(uint32_t* finished) {
  // Each thread's results become visible to other blocks before its block counts as finished.
  __threadfence();
  __syncthreads();
  const bool last = threadIdx.x == 0 && atomicAdd(finished, 1u) == gridDim.x - 1;
  if (__syncthreads_or(last) == 0) return false;
  __threadfence();
  return true;
}

}  // namespace fused_rankloss::cuda
