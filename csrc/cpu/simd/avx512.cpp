// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX-512 F, BW, DQ and VL.
#include "cpu/simd/all_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define FRL_ISA "avx512"
#define FRL_VECTOR_BYTES 64

#include "cpu/simd/target_avx512.inl"

namespace fused_rankloss::cpu::avx512 {

#include "cpu/simd/all_loops.inl"

}  // namespace fused_rankloss::cpu::avx512

#include "cpu/simd/target_end.inl"
#endif  // __x86_64__
