// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that only speed depends on, as data. Results depend on them in the last bits at most, and
// never on the number of threads.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu {

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

}  // namespace fused_rankloss::cpu
