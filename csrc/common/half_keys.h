// SPDX-License-Identifier: BSD-3-Clause
//
// 16-bit scores, fp16 or bf16, as integers below 2^16 that sort as the scores do. So few different
// scores can be counted in a histogram, where others must be sorted.
#pragma once

#include "common/half.h"

namespace fused_rankloss {

inline constexpr uint32_t kHalfKeys = 1u << 16;

FRL_HD bool is_half(ScoreType type) {
  return type == ScoreType::kHalf || type == ScoreType::kBFloat16;
}

// -0.0 comes just below 0.0, which it equals in every comparison. Without branches: signs are
// random.
FRL_HD uint32_t half_key(uint16_t bits) {
  return bits ^ (0x8000u | (0x7fffu & (0u - (uint32_t{bits} >> 15))));
}

// The smallest and the largest keys are those of NaN.
FRL_HD float value_of_half_key(uint32_t key, ScoreType type) {
  const uint16_t bits = static_cast<uint16_t>(key ^ (key >> 15 ? 0x8000u : 0xffffu));
  return type == ScoreType::kHalf ? to_float(Half{bits}) : to_float(BFloat16{bits});
}

// The keys of minus and plus infinity.
FRL_HD uint32_t top_half_key(ScoreType type) {
  return type == ScoreType::kHalf ? 0x8000u | 0x7c00u : 0x8000u | 0x7f80u;
}
FRL_HD uint32_t bottom_half_key(ScoreType type) { return kHalfKeys - 1 - top_half_key(type); }

}  // namespace fused_rankloss
