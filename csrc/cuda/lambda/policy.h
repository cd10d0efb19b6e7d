// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes of the kernels of lambda losses as data. None of them is measured yet: they are predictions
// from instruction counts and from what the compiler reports, and wait for a GPU.
#pragma once

#include <cstdint>

#include "cuda/lists/policy.h"

namespace fused_rankloss::cuda::lambda {

// Lists of up to so many slots are solved in shared memory, by a warp or a block of
// lists/warp_or_block.cuh; longer ones are sorted by a library. A block's 1024 items take 37 KB of
// the 48 KB of static shared memory with fp32 scores, 45 KB with fp64 scores.
inline constexpr int64_t kShortLambda = kBlockListItems;

// Blocks a multiprocessor that the compiler must leave registers for. Asked for two from sm_100 on,
// it spills.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
template <typename Real>
inline constexpr int kShortLambdaBlocks = 1;
#else
template <typename Real>
inline constexpr int kShortLambdaBlocks = sizeof(Real) == 8 ? 1 : 2;
#endif

// ---- Long lists ------------------------------------------------------------

// Ranks, gains and sums come in tiles of kScanTile items, as in pairwise/long.cuh. Pairs are
// direct: a block has the rows of a warp, which all its warps hold, and each warp meets every
// kPairWarps-th column. A pair takes some 60 instructions, 10 of them in fp64, beside one load of
// 48 bytes from shared memory that all lanes share: one row a thread does, and leaves a list of
// 10,000 items 313 blocks.
inline constexpr int kPairWarps = 8;
inline constexpr int kPairThreads = kPairWarps * kWarpSize;
inline constexpr int kPairRows = kWarpSize;
inline constexpr int kPairColumns = kPairThreads;  // in shared memory at once

// Up to this k, pairs are enumerated instead of scanned. A guess.
inline constexpr int64_t kDirectTop = 128;

// Rows at the top of a truncated list are few and meet all columns. These are cut into segments,
// of at least so many columns, until there are so many blocks: two a multiprocessor of an H100.
inline constexpr int64_t kPairSegment = 4096;
inline constexpr int64_t kPairPieces = 256;

// Blocks a multiprocessor that the compiler must leave registers for: 128 a thread.
inline constexpr int kPairBlocks = 2;

}  // namespace fused_rankloss::cuda::lambda
