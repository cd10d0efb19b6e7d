// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that only speed depends on, as data. Results depend on them in the last bits at most, and
// never on the number of threads.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu {

// Up to this many items of different labels are compared pair by pair instead of being sorted.
inline constexpr int kDirectCounts = 512;
inline constexpr int kDirectMoments = 256;

// Integer labels that span at most this many values are counted into levels; others are sorted.
inline constexpr int64_t kCountedLevels = 256;

// Lists of this many slots are worked on by all threads together, shorter ones by one thread each.
inline constexpr int64_t kSharedList = 1 << 16;

// Lists of so many slots whose scores have 16 bits are counted by score instead of being sorted, as
// long as they have at most kHalfLevels levels, whose tables of 256 KB fit the second-level cache.
// Measured on one thread of an AVX-512 Xeon, other work beside it, with Gaussian scores and 2 and 5
// levels: sorting takes this many times as long,
//
//   items    16,384       100,000      1,000,000
//   bf16     1.3, 1.6     3.0, 3.5     4.2, 8.4
//   fp16     0.8, 1.1     2.1, 3.0     4.4, 6.9
inline constexpr int64_t kHalfList = 1 << 15;
inline constexpr int64_t kHalfLevels = 8;

// Long levels are cut into bins of about this many items by score, which fit the cache when they
// are sorted, as long as a counting pass writes to at most kMaxStreams places at a time.
inline constexpr int64_t kBinItems = 1 << 13;
inline constexpr int64_t kMaxStreams = 1 << 10;

// Lists of at least so many items in two levels, one of which holds at most this share of them and
// at most so many, have that one sorted alone and the other one's items searched for in it
// (cpu/small_class.h). Measured on one thread of an AVX-512 Xeon against sorting both, all gains,
// for shares of 0.1%, 1%, 5%, 10% and 12.5% (hinge, fp32, standard normal scores):
//   4096 items    2.0x  2.0x  1.8x  1.5x
//   1e4           2.4x  2.0x  1.8x  1.6x
//   1e5           2.5x  2.2x  1.8x  1.5x  1.3x
//   1e6           2.9x  2.4x  1.8x  1.5x  1.4x
//   1e7           3.2x  2.7x  1.3x  1.05x 0.97x, where the table outgrows the cache
inline constexpr int64_t kSmallClassItems = 1 << 12;
inline constexpr int64_t kSmallClassShare = 8;
inline constexpr int64_t kSmallClassSize = 1 << 20;

// Buckets for each key that a search among them begins with, and the most of them. Tiles of the
// other class whose sums of gaps are kept apart, so that the order of additions is the same on any
// number of threads.
inline constexpr int64_t kPlaceBuckets = 4;
inline constexpr int64_t kMaxPlaceBuckets = 1 << 17;
inline constexpr int64_t kIntervalTiles = 16;

// Slots that one task reads, and events that one task sweeps.
inline constexpr int64_t kReadStretch = 1 << 15;
inline constexpr int64_t kSweepStretch = 1 << 15;

// Slots that one task of short lists holds.
inline constexpr int64_t kTaskSlots = 1 << 12;

// Up to this many items have the pairs of a lambda loss compared one by one, where a scan could add
// them up: with 1, 2 and 4 features of an item (cpu/lambda_features.h). Measured with 5 levels on
// one thread of an AVX-512 Xeon: at 256 items and 1 feature pairs take 0.13 ms and the scan 0.09;
// with the 4 of lambdarank both take 0.18 (logistic), 0.10 and 0.14 (hinge). Pairs of fp64 scores
// stay direct for longer than they need, for their last bits.
inline constexpr int64_t kDirectLogistic[] = {128, 192, 256};
inline constexpr int64_t kDirectHinge[] = {128, 192, 320};
inline constexpr int64_t kDirectWide = 256;

// The same for soft ranks.
inline constexpr int64_t kDirectSoftRanks = 256;

// Levels of up to this many items together are compared directly by a scan.
inline constexpr int64_t kLeafItems = 128;

// Lists of this many items have the pairs that are compared one by one cut into so many parts, for
// all threads together.
inline constexpr int64_t kSharedPairs = 1 << 11;
inline constexpr int64_t kPairParts = 16;

// Numbers of each of the three rows that one task of explicit triplets reads.
inline constexpr int64_t kTripletTaskNumbers = 1 << 14;

// Tiles of kTileSize x kTileSize pairs of rows, of operands in panels of kPanel: three vectors of
// AVX-512, a multiple of three vectors of every other set. Products of tiles and rows are a
// multiple of kWideColumns wide. Depth that is multiplied at a time.
inline constexpr int64_t kPanel = 48;
inline constexpr int64_t kTileSize = 96;
inline constexpr int64_t kWideColumns = 32;
inline constexpr int64_t kTileDepth = 256;

// Tiles whose products are summed up before they join the sum over all: two short chains of
// additions round less than a long one.
inline constexpr int64_t kRecentTiles = 16;

// Batches of at most this many pairs are solved without tiles, by one thread.
inline constexpr int64_t kDirectPairs = 32 * 32;

// Classes of at most this many rows: positives are evaluated one by one, not searched.
inline constexpr int64_t kDirectClass = 32;

// References that a search keeps for an anchor until they are evaluated exactly.
inline constexpr int64_t kCandidates = 16;

// Classes of at most this many rows are searched for semi-hard negatives; in larger ones so many
// positives have candidates of their own that every anchor is solved directly.
inline constexpr int64_t kSemiHardClass = 128;

// Tasks that a search without symmetry is cut into, where there are few anchors.
inline constexpr int64_t kSearchTasks = 64;

}  // namespace fused_rankloss::cpu
