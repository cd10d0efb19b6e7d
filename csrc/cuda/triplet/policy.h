// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes of the triplet kernels as data. None of them is measured yet: they are predictions from
// instruction counts and from what the compiler reports, and wait for a GPU.
#pragma once

#include <cstdint>

#include "cuda/lists/policy.h"

namespace fused_rankloss::cuda::triplet {

// Kernels in which each warp has a row of its own, and a thread a number.
inline constexpr int kTripletThreads = 256;
inline constexpr int kTripletWarps = kTripletThreads / kWarpSize;

// Blocks that share a sum over rows; the last of them to finish adds up as many partial sums.
inline constexpr int64_t kMaxSumBlocks = 1024;

// A block of `warps * 16 * row_tiles` rows meets tiles of `columns` columns. A slab is 64 bytes of
// each row, and `stages` of them are in flight.
struct ProductTile {
  int warps;
  int row_tiles;  // of 16 rows, a warp
  int columns;
  int stages;

  FRL_HD constexpr int threads() const { return warps * kWarpSize; }
  FRL_HD constexpr int warp_rows() const { return row_tiles * 16; }
  FRL_HD constexpr int rows() const { return warps * warp_rows(); }
};

// 64 accumulators a thread, and 36 KiB of slabs.
inline constexpr ProductTile kSearchTile{.warps = 4, .row_tiles = 2, .columns = 64, .stages = 3};

// Blocks a multiprocessor that the compiler must leave registers for. Asked for three, it spills.
inline constexpr int kSearchBlocksEach = 2;

// Where the compiler, given no number of blocks, would spill for the sake of more of them.
inline constexpr int kAnyBlocks = 1;

// The sweeps keep the products and row sums of one tile in shared memory, and need registers for
// the second product.
inline constexpr ProductTile kSweepTile{.warps = 4, .row_tiles = 1, .columns = 64, .stages = 3};

// Pairs are symmetric: with at least so many rows, half of the tiles are computed, each for both
// sides. Below it, there are too few tiles to fill the device.
inline constexpr int64_t kHalfBandRows = 4096;

// Blocks that the search aims at, so that no multiprocessor of a large GPU is without work.
inline constexpr int64_t kSearchBlocks = 1024;

// The best candidates of a row.
inline constexpr int kSearchSlots = 8;

// Positives of classes up to this size are compared without a search.
inline constexpr int kDirectClass = 32;

// Rows that the centre is the mean of.
inline constexpr int64_t kCentreRows = 512;

// Blocks that scan the rows which no search could settle.
inline constexpr int64_t kScanBlocks = 512;

// Positives of an anchor that one round of a sweep takes, and the bytes that may cost.
inline constexpr int64_t kMinChunk = 64;
inline constexpr int64_t kMostPairs = int64_t{1} << 30;
inline constexpr int64_t kChunkBytes = int64_t{64} << 20;

// Of a row's gradient, what a block of the backward sweep sums up: 2 registers a row for the sums
// and 2 for the row itself.
inline constexpr int kGradientBytes = 256;

}  // namespace fused_rankloss::cuda::triplet
