// SPDX-License-Identifier: BSD-3-Clause
//
// For every processor.
#include "cpu/simd/all_loops.h"

#define FRL_ISA "baseline"
#define FRL_VECTOR_BYTES 16

namespace fused_rankloss::cpu::baseline {

#include "cpu/simd/all_loops.inl"

}  // namespace fused_rankloss::cpu::baseline
