// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that the families of lists share, as data. None of them is measured yet: they are
// predictions from instruction counts and from what the compiler reports, and wait for a GPU to
// confirm or replace them.
#pragma once

#include "cuda/primitives/sizes.h"

namespace fused_rankloss::cuda {

// Short lists (pairwise/short.cuh): a warp has a list of up to kWarpListItems slots, a block of
// kListWarps warps a longer one. Predictions for an H200 at 1.75 GHz, from loops as compiled for
// sm_90 (counting takes 3 instructions a row and column, a step of a search 10), at two
// instructions a cycle and multiprocessor, without launches:
//
//   a list of 128, five labels      2,300 instructions: 4,096 lists in 20 us
//   a list of 1,000, five labels    31,000 to sort and search, 75,000 to enumerate: 1,024 lists in
//                                   70 us and 170 us
//   crossover of both               at 400 slots; a block sorts shorter lists as well, for up to
//                                   half as many instructions again
//   values of a list of 512         65,000, 40,000 of them in fp64: 2,048 lists in 290 us; sorting
//                                   (pairwise/long.cuh) is taken to be faster from there on
//
// Items take 16 bytes of shared memory to count, 40 in fp64: 1024 fit the 48 KB that
// every launch may have.
inline constexpr int kListWarps = 8;
inline constexpr int kWarpListItems = 128;
inline constexpr int kBlockListItems = 1024;  // to count

// Every so many positions, the moments of what lies below and above are kept: 1.5 bytes a position.
inline constexpr int kCheckpoint = 32;

// Blocks a multiprocessor that the compiler must leave registers for: 128 a thread.
inline constexpr int kLongBlocks = 2;

inline constexpr int kBackwardThreads = 256;

}  // namespace fused_rankloss::cuda
