// SPDX-License-Identifier: BSD-3-Clause
//
// Block and tile sizes that all CUDA code shares.
#pragma once

#include <cstdint>

namespace fused_rankloss::cuda {

inline constexpr int kWarpSize = 32;

// Long lists are processed in tiles of kScanThreads x kItemsPerThread positions, mostly in blocked
// arrangement: each thread has a run of consecutive positions. A million items are 490 tiles, so
// that 132 multiprocessors have four blocks each.
inline constexpr int kScanThreads = 256;
inline constexpr int kItemsPerThread = 8;
inline constexpr int kScanTile = kScanThreads * kItemsPerThread;

}  // namespace fused_rankloss::cuda
