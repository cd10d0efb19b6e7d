// SPDX-License-Identifier: BSD-3-Clause
//
// Tuned sizes of the kernels of lambda losses, as data. None of them is measured yet: they are
// predictions from instruction counts and compiler reports, to be measured on a GPU.
#pragma once

#include <cstdint>

#include "cuda/lists/policy.h"

namespace fused_rankloss::cuda::lambda {

// A warp or a block (lists/warp_or_block.cuh) solves lists of up to this many slots in shared
// memory; longer ones are sorted by CUB. A block's 1024 items take 37 KB of the 48 KB of static
// shared memory with fp32 scores, 45 KB with fp64 scores.
inline constexpr int64_t kShortLambda = kBlockListItems;

// minBlocksPerMultiprocessor of __launch_bounds__; with 2 the compiler spills from sm_100 on.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
template <typename Real>
inline constexpr int kShortLambdaBlocks = 1;
#else
template <typename Real>
inline constexpr int kShortLambdaBlocks = sizeof(Real) == 8 ? 1 : 2;
#endif

// ---- Long lists ------------------------------------------------------------

// Ranks, gains and sums are computed in tiles of kScanTile items, as in pairwise/long.cuh. Pairs
// are enumerated: a block has 32 rows, one per lane, held by each of its warps. Each warp processes
// every kPairWarps-th column. A pair takes about 60 instructions, 10 of them in fp64, plus one load
// of 48 bytes from shared memory, the same for all lanes. So one row per thread is enough, and a
// list of 10,000 items has 313 blocks.
inline constexpr int kPairWarps = 8;
inline constexpr int kPairThreads = kPairWarps * kWarpSize;
inline constexpr int kPairRows = kWarpSize;
inline constexpr int kPairColumns = kPairThreads;  // in shared memory at once

// Up to this k, pairs are enumerated instead of scanned. A guess.
inline constexpr int64_t kDirectTop = 128;

// The top rows of a truncated list are few, but have all columns. The columns are cut into segments
// of at least kPairSegment, until there are kPairChunks blocks: two per multiprocessor of an H100.
inline constexpr int64_t kPairSegment = 4096;
inline constexpr int64_t kPairChunks = 256;

// minBlocksPerMultiprocessor of __launch_bounds__: leaves 128 registers per thread.
inline constexpr int kPairBlocks = 2;

}  // namespace fused_rankloss::cuda::lambda
