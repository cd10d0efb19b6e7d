// SPDX-License-Identifier: BSD-3-Clause
//
// Tuned sizes of the triplet kernels, as data. None of them is measured yet: they are predictions
// from instruction counts and compiler reports, to be measured on a GPU.
#pragma once

#include <cstdint>

#include "cuda/lists/policy.h"

namespace fused_rankloss::cuda::triplet {

// Kernels with one warp per row, or one thread per element.
inline constexpr int kTripletThreads = 256;
inline constexpr int kTripletWarps = kTripletThreads / kWarpSize;

// Most blocks of a sum over rows; the last one to finish adds the blocks' partial sums.
inline constexpr int64_t kMaxSumBlocks = 1024;

// A block of `warps * 16 * row_tiles` rows processes tiles of `columns` columns. A K slice is 64
// bytes of each row and column, and `stages` of them are in flight.
struct ProductTile {
  int warps;
  int row_tiles;  // of 16 rows, per warp
  int columns;
  int stages;

  FRL_HD constexpr int threads() const { return warps * kWarpSize; }
  FRL_HD constexpr int warp_rows() const { return row_tiles * 16; }
  FRL_HD constexpr int rows() const { return warps * warp_rows(); }
};

// 64 accumulators per thread, and 36 KiB of K slices.
inline constexpr ProductTile kSearchTile{.warps = 4, .row_tiles = 2, .columns = 64, .stages = 3};

// minBlocksPerMultiprocessor of __launch_bounds__; with 3 the compiler spills.
inline constexpr int kSearchBlocksEach = 2;

// minBlocksPerMultiprocessor of __launch_bounds__ for kernels in which the compiler would otherwise
// spill to allow more blocks.
inline constexpr int kAnyBlocks = 1;

// The sweeps keep the products of one tile in shared memory, and need registers for the sums over
// columns.
inline constexpr ProductTile kSweepTile{.warps = 4, .row_tiles = 1, .columns = 64, .stages = 3};

// Threshold of the symmetric schedule: with at least this many rows, half of the tiles are
// computed, each for both sides of its pairs. With fewer rows there are too few tiles to fill the
// device.
inline constexpr int64_t kSymmetricRows = 4096;

// Target number of blocks of the search, so that all multiprocessors of a large GPU have work.
inline constexpr int64_t kSearchBlocks = 1024;

// Candidates per row and side.
inline constexpr int kSearchSlots = 8;

// For classes up to this size, all positives are compared by canonical distances, without a search.
inline constexpr int kDirectClass = 32;

// Number of rows that are sampled for the centre.
inline constexpr int64_t kCentreRows = 512;

// Blocks of the scan over rows that the search could not decide.
inline constexpr int64_t kScanBlocks = 512;

// Positives per anchor in one round of a sweep, and limits of pairs and bytes per round.
inline constexpr int64_t kMinChunk = 64;
inline constexpr int64_t kMostPairs = int64_t{1} << 30;
inline constexpr int64_t kChunkBytes = int64_t{64} << 20;

// Bytes of a row's gradient that a block of the backward sweep sums: 2 registers per row for the
// sums and 2 for the row itself.
inline constexpr int kGradientBytes = 256;

}  // namespace fused_rankloss::cuda::triplet
