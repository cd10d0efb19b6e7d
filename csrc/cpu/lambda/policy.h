// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that only speed depends on, as data. Results depend on them in the last bits at most, and
// never on the number of threads.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu::lambda {

// Up to this many items, the pairs of a lambda loss are compared one by one instead of by a scan:
// with 1, 2 and 4 features per item (cpu/lambda/features.h). Measured with 5 grades on one thread
// of an AVX-512 Xeon. At 256 items and 1 feature, pairs take 0.13 ms and the scan 0.09. With the 4
// features of lambdarank both take 0.18 (logistic), and pairs 0.10 and the scan 0.14 (hinge). For
// fp64 scores the threshold is higher than speed requires, to keep their last bits.
inline constexpr int64_t kDirectLogistic[] = {128, 192, 256};
inline constexpr int64_t kDirectHinge[] = {128, 192, 320};
inline constexpr int64_t kDirectWide = 256;

// A scan compares grades of up to this many items together directly.
inline constexpr int64_t kLeafItems = 128;

// Lists of at least this many items split the pairs that are compared one by one into kPairParts
// chunks, for all threads together.
inline constexpr int64_t kSharedPairs = 1 << 11;
inline constexpr int64_t kPairParts = 16;

}  // namespace fused_rankloss::cpu::lambda
