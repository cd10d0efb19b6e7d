// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX2 and FMA.
#include <limits>
#include <type_traits>

#include "cpu/triplet_kernels.h"

#define FRL_VECTOR_BYTES 32

#if defined(__x86_64__)
#include <immintrin.h>

#include "cpu/target_avx2.inl"

namespace fused_rankloss::cpu::avx2 {
namespace {

// clang-format off: in this order
#include "cpu/row_kernels.inl"
#include "cpu/tile_kernels.inl"
#include "cpu/sweep_kernels.inl"
#include "cpu/window_kernels.inl"
// clang-format on

}  // namespace

extern const TripletKernels kTripletKernels;
// Constant, so that no instruction of this set runs before the choice is made.
constinit const TripletKernels kTripletKernels = kernels_for("avx2");

}  // namespace fused_rankloss::cpu::avx2

#include "cpu/target_end.inl"
#endif  // __x86_64__
