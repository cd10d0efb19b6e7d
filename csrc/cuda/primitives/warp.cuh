// SPDX-License-Identifier: BSD-3-Clause
//
// A thread's place in its block.
#pragma once

#include "cuda/primitives/sizes.h"

namespace fused_rankloss::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) % kWarpSize; }
__device__ __forceinline__ int warp_index() { return static_cast<int>(threadIdx.x) / kWarpSize; }

}  // namespace fused_rankloss::cuda
