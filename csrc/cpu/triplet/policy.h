// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that only speed depends on, as data. Results depend on them in the last bits at most, and
// never on the number of threads.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu::triplet {

// Numbers of each of the three rows that one task of explicit triplets reads.
inline constexpr int64_t kTripletTaskNumbers = 1 << 14;

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

}  // namespace fused_rankloss::cpu::triplet
