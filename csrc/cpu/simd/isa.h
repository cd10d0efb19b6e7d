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

// Declares the table `name` of inner loops of each instruction set, which files of their own
// define, and defines `const Table& function()`, which returns the chosen one. For this namespace.
#if defined(__x86_64__)
#define FRL_LOOPS_OF_CHOSEN_ISA(Table, name, function) \
  namespace baseline {                                 \
  extern const Table name;                             \
  }                                                    \
  namespace avx2 {                                     \
  extern const Table name;                             \
  }                                                    \
  namespace avx512 {                                   \
  extern const Table name;                             \
  }                                                    \
  const Table& function() {                            \
    switch (chosen_isa()) {                            \
      case Isa::kAvx512:                               \
        return avx512::name;                           \
      case Isa::kAvx2:                                 \
        return avx2::name;                             \
      default:                                         \
        return baseline::name;                         \
    }                                                  \
  }
#else
#define FRL_LOOPS_OF_CHOSEN_ISA(Table, name, function) \
  namespace baseline {                                 \
  extern const Table name;                             \
  }                                                    \
  const Table& function() { return baseline::name; }
#endif

}  // namespace fused_rankloss::cpu
