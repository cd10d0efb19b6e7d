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

// Long levels are cut into bins of about this many items by score, which fit the cache when they
// are sorted, as long as a counting pass writes to at most kMaxStreams places at a time.
inline constexpr int64_t kBinItems = 1 << 13;
inline constexpr int64_t kMaxStreams = 1 << 10;

// Slots that one task reads, and events that one task sweeps.
inline constexpr int64_t kReadStretch = 1 << 15;
inline constexpr int64_t kSweepStretch = 1 << 15;

// Slots that one task of short lists holds.
inline constexpr int64_t kTaskSlots = 1 << 12;

// Numbers of each of the three rows that one task of explicit triplets reads.
inline constexpr int64_t kTripletTaskNumbers = 1 << 14;

// Tiles of kTileSize x kTileSize pairs of rows, of operands in panels of kPanel: three vectors of AVX-512,
// a multiple of three vectors of every other set. Depth that is multiplied at a time.
inline constexpr int64_t kPanel = 48;
inline constexpr int64_t kTileSize = 96;
inline constexpr int64_t kTileDepth = 256;

// Batches of at most this many pairs are solved without tiles, by one thread.
inline constexpr int64_t kDirectPairs = 48 * 48;

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
