// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <cstdint>

#include "common/platform.h"

namespace fused_rankloss {

enum class Gain : int32_t { kExponential, kLinear };

// The gain of a label: y, or 2^y - 1. The latter is scaled by 2^-m with m = max(y_max, 0), which is
// 2^(y - m) - 2^-m. The factor cancels, since gains are always divided by the maximal DCG, and
// nothing overflows.
FRL_HD double gain_of(Gain gain, double label, double max_label) {
  if (gain == Gain::kLinear) return label;
  const double top = max_label > 0 ? max_label : 0;
  // Exactly 0 at label 0; otherwise a single subtraction.
  return exp2(label - top) - exp2(-top);
}

// For rank 1, 2, ..
FRL_HD double log2_discount(int64_t rank) { return 1 / log2(1 + static_cast<double>(rank)); }

}  // namespace fused_rankloss
