// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that only speed depends on, as data. Results depend on them in the last bits at most, and
// never on the number of threads.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu::lambda {

// Up to this many items have the pairs of a lambda loss compared one by one, where a scan could add
// them up: with 1, 2 and 4 features of an item (cpu/lambda/features.h). Measured with 5 levels on
// one thread of an AVX-512 Xeon: at 256 items and 1 feature pairs take 0.13 ms and the scan 0.09;
// with the 4 of lambdarank both take 0.18 (logistic), 0.10 and 0.14 (hinge). Pairs of fp64 scores
// stay direct for longer than they need, for their last bits.
inline constexpr int64_t kDirectLogistic[] = {128, 192, 256};
inline constexpr int64_t kDirectHinge[] = {128, 192, 320};
inline constexpr int64_t kDirectWide = 256;

// Levels of up to this many items together are compared directly by a scan.
inline constexpr int64_t kLeafItems = 128;

// Lists of this many items have the pairs that are compared one by one cut into so many parts, for
// all threads together.
inline constexpr int64_t kSharedPairs = 1 << 11;
inline constexpr int64_t kPairParts = 16;

}  // namespace fused_rankloss::cpu::lambda
