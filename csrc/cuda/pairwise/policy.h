// SPDX-License-Identifier: BSD-3-Clause
//
// Tuned sizes as data. None of them is measured yet: they are predictions from instruction counts
// and from compiler reports, to be confirmed or replaced by measurements on a GPU.
#pragma once

#include "common/platform.h"
#include "cuda/lists/policy.h"

namespace fused_rankloss::cuda::pairwise {

// A block owns 32 * rows_per_thread rows. Each of its warps holds all rows and processes every
// `warps`-th column, so that short lists keep all warps busy and a list of 10,000 fills a GPU.
struct PairwiseTile {
  int warps;
  int rows_per_thread;
  int column_bytes;  // of shared memory for the columns of one tile

  FRL_HD constexpr int threads() const { return warps * kWarpSize; }
  FRL_HD constexpr int rows() const { return rows_per_thread * kWarpSize; }
};

// Counting takes about 10 instructions per row and column (as compiled for sm_90), plus one 16-byte
// shared-memory load per 4 rows. More rows would save little of that load, and a list of 10,000
// would have fewer blocks than an H100 has multiprocessors.
inline constexpr PairwiseTile kCountTile{
    .warps = 8, .rows_per_thread = 4, .column_bytes = 16 * 1024};

// Summing values takes 36 registers for the fp64 values of 2 rows and their sums.
inline constexpr PairwiseTile kValueTile{
    .warps = 8, .rows_per_thread = 2, .column_bytes = 16 * 1024};

// minBlocksPerMultiprocessor of __launch_bounds__: leaves 128 registers per thread. The loops over
// pairs need only 76 (sm_80), but the last block's reduction needs more: with 3, or without a
// bound, the compiler spills there.
inline constexpr int kPairwiseBlocks = 2;

// Threshold for sums of values: the pairs of lists of up to this many slots are enumerated.
inline constexpr int kValueListItems = 512;

// The number of grades whose items are ordered, one grade per pass. A pass takes 60 instructions of
// a warp with 128 items. It saves up to 500 if the grade has a fifth of the items, since these are
// then no partners of each other.
inline constexpr int kListGrades = 8;

// Fewer lists than this are no batch: one block per list would leave most of a GPU idle.
inline constexpr int kManyLists = 32;

// minBlocksPerMultiprocessor of __launch_bounds__; with 3 the compiler spills.
template <typename Real>
inline constexpr int kListBlocks = sizeof(Real) == 8 ? 1 : 2;

// Rows of a thread that share one load of a column. With one row, counting is bound by
// shared-memory loads of columns; sums of values never are.
inline constexpr int kCountListRows = 2;
inline constexpr int kValueListRows = 1;

// Lists longer than this are sorted; the pairs of shorter ones are enumerated. A prediction for one
// list of n scores on an H100: n / 128 blocks enumerate n columns each in parallel. That takes 5 n
// instructions per warp, and two warps share a scheduler: 6 us per 1,000 scores. One launch that
// sorts takes about 40 us for two grades (see kOneLaunchSlots), 75 us for five. The break-even
// point is between 7,000 and 13,000.
inline constexpr int64_t kLongList = 10 * 1024;

// Calls with long lists of up to this many slots are one launch, which also sorts. A prediction for
// an H100, at 1.5 us per grid barrier:
//
//   one launch   7 us until the items are counted, including two barriers; then 4 passes for fp32
//                scores, each 2 us to move a tile of items, 1 us to read 98 histograms of 1 KB, and
//                a barrier. 25 us in all; fp64 takes 8 passes, fp16 3, bf16 2, and up to 255 lists
//                one more
//   CUB          57 to 75 us for 65,000 fp32 keys, and about the same for fewer keys (measured on a
//                B200: bound by its launches); twice that for several lists; plus two more launches
//
// With twice the tiles there is still one block per tile. But each reads twice the histograms and
// counts arrivals among twice the items, while CUB's time hardly grows. 98 leaves a gain of two to
// three times.
inline constexpr int64_t kOneLaunchSlots = 98 * kScanTile;

// kLongBlocks for long_lists_kernel; from sm_100 on, 128 registers per thread are too few for it.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
inline constexpr int kLongListsBlocks = 1;
#else
inline constexpr int kLongListsBlocks = kLongBlocks;
#endif

}  // namespace fused_rankloss::cuda::pairwise
