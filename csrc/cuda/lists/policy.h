// SPDX-License-Identifier: BSD-3-Clause
//
// Tuned sizes that the families of list losses share, as data. None of them is measured yet: they
// are predictions from instruction counts and from compiler reports, to be confirmed or replaced by
// measurements on a GPU.
#pragma once

#include "cuda/primitives/sizes.h"

namespace fused_rankloss::cuda {

// Short lists (pairwise/short.cuh): one warp per list of up to kWarpListItems slots, one block of
// kListWarps warps per longer list. Predictions for an H200 at 1.75 GHz, without launches, from the
// loops as compiled for sm_90. Counting takes 3 instructions per row and column, a step of a search
// 10, at two instructions per cycle and multiprocessor:
//
//   a list of 128, five labels      2,300 instructions: 4,096 lists in 20 us
//   a list of 1,000, five labels    31,000 to sort and search, 75,000 to enumerate: 1,024 lists in
//                                   70 us and 170 us
//   threshold between both          400 slots; a block sorts shorter lists as well, which takes up
//                                   to 1.5 times the instructions
//   values of a list of 512         65,000, 40,000 of them in fp64: 2,048 lists in 290 us; sorting
//                                   (pairwise/long.cuh) is assumed to be faster for longer lists
//
// An item takes 16 bytes of shared memory for counting, 40 in fp64: 1024 items fit into the 48 KB
// that every launch may use.
inline constexpr int kListWarps = 8;
inline constexpr int kWarpListItems = 128;
inline constexpr int kBlockListItems = 1024;  // for counts

// The moments of the items below and above are stored at every kCheckpoint-th position: 1.5 bytes
// per position.
inline constexpr int kCheckpoint = 32;

// minBlocksPerMultiprocessor of __launch_bounds__: leaves 128 registers per thread.
inline constexpr int kLongBlocks = 2;

inline constexpr int kBackwardThreads = 256;

}  // namespace fused_rankloss::cuda
