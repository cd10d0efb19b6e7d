// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that only speed depends on, as data. Results depend on them in the last bits at most, and
// never on the number of threads.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu::pairwise {

// Up to this many items of different labels are compared pair by pair instead of being sorted.
inline constexpr int kDirectCounts = 512;
inline constexpr int kDirectMoments = 256;

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

// Lists of at least so many items in two levels, one of which holds at most this share of them and
// at most so many, have that one sorted alone and the other one's items searched for in it
// (cpu/pairwise/minority.h). Measured on one thread of an AVX-512 Xeon against sorting both, all
// gains, for shares of 0.1%, 1%, 5%, 10% and 12.5% (hinge, fp32, standard normal scores):
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

}  // namespace fused_rankloss::cpu::pairwise
