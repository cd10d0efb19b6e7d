// SPDX-License-Identifier: BSD-3-Clause
//
// The instruction sets that inner loops are compiled for, and the choice for this processor.
#pragma once

namespace fused_rankloss::cpu {

enum class Isa {
  kBaseline,
  kAvx2,    // and FMA
  kAvx512,  // F, BW, DQ, VL
};

// The best one that the processor supports. FUSED_RANKLOSS_ISA=baseline|avx2|avx512 overrides the
// choice, if the processor supports it.
Isa chosen_isa();

}  // namespace fused_rankloss::cpu
