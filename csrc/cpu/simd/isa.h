// SPDX-License-Identifier: BSD-3-Clause
//
// The instruction sets that inner loops are compiled for, and the one this processor gets.
#pragma once

namespace fused_rankloss::cpu {

enum class Isa {
  kBaseline,
  kAvx2,    // and FMA
  kAvx512,  // F, BW, DQ, VL
};

// The best that the processor has. FUSED_RANKLOSS_ISA=baseline|avx2|avx512 overrides the choice,
// within what the processor has.
Isa chosen_isa();

}  // namespace fused_rankloss::cpu
