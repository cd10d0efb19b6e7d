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

// Lists of at least this many slots with 16-bit scores are counted by score instead of being
// sorted, if they have at most kHistogramGrades grades, whose tables of 256 KB fit the L2 cache.
// Measured on one thread of an AVX-512 Xeon, with other work beside it, with Gaussian scores and 2
// and 5 grades. Time of sorting over time of counting:
//
//   items    16,384       100,000      1,000,000
//   bf16     1.3, 1.6     3.0, 3.5     4.2, 8.4
//   fp16     0.8, 1.1     2.1, 3.0     4.4, 6.9
inline constexpr int64_t kHistogramList = 1 << 15;
inline constexpr int64_t kHistogramGrades = 8;

// Binary lists of at least kMinorityItems items have only the minority class sorted, and the items
// of the majority class searched for in it (cpu/pairwise/minority.h). This holds if the minority
// class has at most 1 / kMinorityShare of the items and at most kMinoritySize of them. Measured on
// one thread of an AVX-512 Xeon against sorting both classes, for minority shares of 0.1%, 1%, 5%,
// 10% and 12.5% (hinge, fp32, standard normal scores). Speed-up:
//   4096 items    2.0x  2.0x  1.8x  1.5x
//   1e4           2.4x  2.0x  1.8x  1.6x
//   1e5           2.5x  2.2x  1.8x  1.5x  1.3x
//   1e6           2.9x  2.4x  1.8x  1.5x  1.4x
//   1e7           3.2x  2.7x  1.3x  1.05x 0.97x, where the table outgrows the cache
inline constexpr int64_t kMinorityItems = 1 << 12;
inline constexpr int64_t kMinorityShare = 8;
inline constexpr int64_t kMinoritySize = 1 << 20;

// Buckets per key of the table that a search starts from, and the largest number of buckets. The
// number of tiles of the majority class whose sums of gaps are kept separately, so that the order
// of additions is the same for any number of threads.
inline constexpr int64_t kBucketsPerKey = 4;
inline constexpr int64_t kMaxBuckets = 1 << 17;
inline constexpr int64_t kIntervalTiles = 16;

}  // namespace fused_rankloss::cpu::pairwise
