// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that only speed depends on, as data. Results depend on them in the last bits at most, and
// never on the number of threads.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu {

// Integer labels that span at most this many values are counted into grades; others are sorted.
inline constexpr int64_t kCountedGrades = 256;

// Lists of at least this many slots are solved by all threads together, shorter ones by one thread
// each.
inline constexpr int64_t kSharedList = 1 << 16;

// Long grades are cut by score into bins of about this many items, which fit the cache when they
// are sorted, as long as a counting pass writes to at most kMaxStreams positions at a time.
inline constexpr int64_t kBinItems = 1 << 13;
inline constexpr int64_t kMaxStreams = 1 << 10;

// Slots that one task reads, and events that one task sweeps.
inline constexpr int64_t kReadChunk = 1 << 15;
inline constexpr int64_t kSweepChunk = 1 << 15;

// Slots that one task of short lists holds.
inline constexpr int64_t kTaskSlots = 1 << 12;

}  // namespace fused_rankloss::cpu
