// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that only speed depends on, as data. Results depend on them in the last bits at most, and
// never on the number of threads.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu::listwise {

// Up to this many items have their soft ranks computed pair by pair, where a scan could add them
// up.
inline constexpr int64_t kDirectSoftRanks = 256;

}  // namespace fused_rankloss::cpu::listwise
