// SPDX-License-Identifier: BSD-3-Clause
//
// Tile choices as data. None of them is measured yet: they are predictions from instruction counts
// and from what the compiler reports, and wait for a GPU to confirm or replace them.
#pragma once

#include <cstdint>

#include "common/platform.h"

namespace fused_rankloss {

inline constexpr int kWarpSize = 32;

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

// Short lists (short_lists.cuh): a warp has a list of up to kWarpListItems slots, a block of
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
//                                   (long_lists.cuh) is taken to be faster from there on
//
// Items take 16 bytes of shared memory to count, 40 in fp64: 1024 fit the 48 KB that
// every launch may have.
inline constexpr int kListWarps = 8;
inline constexpr int kWarpListItems = 128;
inline constexpr int kBlockListItems = 1024;  // to count
inline constexpr int kValueListItems = 512;   // to sum values: pairs are enumerated

// A medium list is longer, and a block counts its violating pairs by merging (medium_lists.cuh): as
// many slots as 96 KB of shared memory hold, 12 bytes each with fp32 scores, so that two blocks fit
// a multiprocessor of sm_90. sm_86 and sm_89 have 99 KB for one, sm_75 has too little. Predicted
// for 8,192 slots and five labels, as above: 180,000 instructions to sort and 200,000 to merge; 256
// lists in 210 us, whose pairs the tile kernel enumerates in 3 ms.
inline constexpr int kMediumBytes = 96 * 1024;
template <typename Real>
inline constexpr int kMediumListItems = kMediumBytes / (static_cast<int>(sizeof(Real)) + 8);
inline constexpr int64_t kMediumBlockBytes = 99 * 1024;

// Labels up to which items are ordered one label after the other: a pass takes 60 instructions of
// a warp that has 128 items, and saves up to 500 where it makes a fifth of them no partners.
inline constexpr int kListLevels = 8;

// Teams take lists from counters, a ticket of consecutive lists at a time (list_tickets.cuh). A
// warp's ticket is a single list up to eight tickets for each of the 2,112 warps that an H100
// holds: the counter answers in half a microsecond, as do the list's offsets that are asked for
// together with it, and the last block adds up what tickets sum to, 24 bytes each, in four
// microseconds. A block's ticket is a single list where the average list is a block's. Where that
// is a warp's, most lists are looked at in vain, at half a microsecond a ticket: four tickets for
// each of 264 blocks.
struct TicketPolicy {
  int64_t blocks;
  int64_t warps;
};
inline constexpr TicketPolicy kListTickets{.blocks = 1024, .warps = 16 * 1024};
inline constexpr int kBlockTicketLists = 32;  // at most
inline constexpr int kWarpTicketLists = 8;

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

// Long lists are worked on in tiles of kScanThreads runs of kScanRun consecutive positions, one run
// a thread: 490 tiles for a million items, so that 132 multiprocessors have four blocks each.
inline constexpr int kScanThreads = 256;
inline constexpr int kScanRun = 8;
inline constexpr int kScanTile = kScanThreads * kScanRun;

// Slots of such calls are numbered by 32 bits, and the last number is that of no segment's head.
inline constexpr int64_t kMostLongSlots = 0xfffffffe;

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

// Every so many positions, the moments of what lies below and above are kept: 1.5 bytes a position.
inline constexpr int kCheckpoint = 32;

// Blocks a multiprocessor that the compiler must leave registers for: 128 a thread.
inline constexpr int kLongBlocks = 2;

// The same of long_lists_kernel and small_class_kernel, for which 128 are too few from sm_100 on.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
inline constexpr int kLongListsBlocks = 1;
#else
inline constexpr int kLongListsBlocks = kLongBlocks;
#endif

// One list of more slots than this whose scores have 16 bits is counted by score instead of being
// sorted (half_list.cuh), where gradients are counts. A prediction for an H100: 4 barriers and
// 65,536 scores a level take 25 us, however short the list; sorting 65,000 scores takes 60.
inline constexpr int64_t kHalfList = 16 * 1024;

// Counts that a block keeps in shared memory, the first ones to be met in each place, before they
// join those of the grid. Of Gaussian bf16 scores, half are among 400 scores.
inline constexpr int kHalfCells = 4096;

// Blocks a multiprocessor that the compiler must leave registers for: 64 a thread, since the
// counts of a tile are gathered. From sm_100 on, these are too few.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
inline constexpr int kHalfBlocks = 3;
#else
inline constexpr int kHalfBlocks = 4;
#endif

// One list of two levels, the smaller with up to this share of the slots: its items alone are
// sorted (small_class.cuh), where gradients are counts. A prediction for an H100 and 100 million
// fp32 scores, a hundredth of them positive, whose place the others look for in 20 steps, 9 of them
// in the second-level cache: 2.5 ms. CUB's sort takes 3.8, and what follows it 2 to 3. With ten
// times as many positives, three more steps and a table that this cache does not hold, nothing is
// gained.
//
// The list is sorted after all if it turns out to have no small class, but not by CUB, which only
// the host can tell how much there is to sort: the sort within a kernel may take twice as long. As
// no GPU has shown yet what that costs, lists are looked at for a small class, beyond
// kOneLaunchSlots slots, only where this variable of the environment is 1.
inline constexpr int64_t kSmallClassShare = 32;
inline constexpr const char* kSmallClassVariable = "FUSED_RANKLOSS_SMALL_CLASS";

// Scores of the small class that a block keeps in shared memory, evenly spread, to search first.
inline constexpr int kSmallClassPivots = 2048;

// Stretches of tiles, up to one more, each with a sum of its own: the 264 blocks of an H100 have
// eight each.
inline constexpr int64_t kSmallClassStretches = 2048;

inline constexpr int kBackwardThreads = 256;

}  // namespace fused_rankloss
