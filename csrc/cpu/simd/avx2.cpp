// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX2 and FMA.
#include "cpu/simd/all_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define FRL_ISA "avx2"
#define FRL_VECTOR_BYTES 32

#include "cpu/simd/target_avx2.inl"

namespace fused_rankloss::cpu::avx2 {

#include "cpu/simd/all_loops.inl"

}  // namespace fused_rankloss::cpu::avx2

#include "cpu/simd/target_end.inl"
#endif  // __x86_64__
