// SPDX-License-Identifier: BSD-3-Clause
//
// Tile choices as data. None of them is measured yet: they are predictions from instruction counts
// and from what the compiler reports, and wait for a GPU to confirm or replace them.
#pragma once

#include "common/platform.h"
#include "cuda/lists/policy.h"

namespace fused_rankloss::cuda::pairwise {

// A block owns 32 * rows_per_thread rows. Each of its warps holds all of them and meets every
// `warps`-th column, so that short lists keep all warps busy and a list of 10,000 fills a GPU.
struct PairwiseTile {
  int warps;
  int rows_per_thread;
  int column_bytes;  // of shared memory for the columns of one tile

  FRL_HD constexpr int threads() const { return warps * kWarpSize; }
  FRL_HD constexpr int rows() const { return rows_per_thread * kWarpSize; }
};

// Counting takes about 10 instructions a row and column (as compiled for sm_90) beside one 16-byte
// shared-memory load for 4 rows. More rows would save little of that load and leave a list of
// 10,000 fewer blocks than an H100 has multiprocessors.
inline constexpr PairwiseTile kCountTile{
    .warps = 8, .rows_per_thread = 4, .column_bytes = 16 * 1024};

// Summing values takes 36 registers for the fp64 numbers of 2 rows and their sums.
inline constexpr PairwiseTile kValueTile{
    .warps = 8, .rows_per_thread = 2, .column_bytes = 16 * 1024};

// Blocks a multiprocessor that the compiler must leave registers for, 128 a thread. The loops over
// pairs get by with 76 (sm_80), but the last block's reduction does not: left to itself, or asked
// for three blocks, the compiler spills there.
inline constexpr int kPairwiseBlocks = 2;

// A list of up to so many slots is enumerated to sum values.
inline constexpr int kValueListItems = 512;  // to sum values: pairs are enumerated

// Labels up to which items are ordered one label after the other: a pass takes 60 instructions of
// a warp that has 128 items, and saves up to 500 where it makes a fifth of them no partners.
inline constexpr int kListLevels = 8;

// Fewer lists than this are no batch: a block a list would leave most of a GPU idle.
inline constexpr int kManyLists = 32;

// Blocks a multiprocessor that the compiler must leave registers for; with three, it spills.
template <typename Real>
inline constexpr int kListBlocks = sizeof(Real) == 8 ? 1 : 2;

// Rows of a thread that meet a column together. Counting is bound by reading columns from shared
// memory with one row, values never are.
inline constexpr int kCountListRows = 2;
inline constexpr int kValueListRows = 1;

// Lists longer than this are sorted, the others' pairs are enumerated. A prediction for one list on
// an H100: of n scores, n / 128 blocks enumerate n columns each, side by side, which takes a warp 5
// n instructions, and two warps share a scheduler: 6 us for every 1,000 scores. One launch that
// sorts takes some 40 us for two labels (see kOneLaunchSlots), 75 us for five: they meet between
// 7,000 and 13,000.
inline constexpr int64_t kLongList = 10 * 1024;

// Calls with long lists are one launch up to so many slots, and sort within it. A prediction for an
// H100, at 1.5 us for a barrier of the grid:
//
//   one launch   7 us until the items are counted, two barriers among them; then 4 passes for fp32
//                scores: 2 us to move a tile of items, 1 us to read 98 histograms of 1 KB, and a
//                barrier. 25 us; fp64 takes 8 passes, fp16 3, bf16 2, and up to 255 lists one more
//   CUB          57 to 75 us for 65,000 fp32 keys and about as many for fewer (measured on a B200:
//                bound by its launches), twice that for several lists; and two launches more
//
// Twice as many tiles still are a block each, but each reads twice as many histograms and counts
// arrivals among twice as many items, while the library's time hardly grows: 98 leaves a gain of
// two to three times.
inline constexpr int64_t kOneLaunchSlots = 98 * kScanTile;

// kLongBlocks of long_lists_kernel, for which 128 are too few from sm_100 on.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
inline constexpr int kLongListsBlocks = 1;
#else
inline constexpr int kLongListsBlocks = kLongBlocks;
#endif

}  // namespace fused_rankloss::cuda::pairwise
