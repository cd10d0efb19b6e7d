// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes of threads and tiles that everything on CUDA shares.
#pragma once

#include <cstdint>

namespace fused_rankloss::cuda {

inline constexpr int kWarpSize = 32;

// Long lists are worked on in tiles of kScanThreads runs of kScanRun consecutive positions, one run
// a thread: 490 tiles for a million items, so that 132 multiprocessors have four blocks each.
inline constexpr int kScanThreads = 256;
inline constexpr int kScanRun = 8;
inline constexpr int kScanTile = kScanThreads * kScanRun;

}  // namespace fused_rankloss::cuda
