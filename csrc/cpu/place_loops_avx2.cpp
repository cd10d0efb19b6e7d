// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX2.
#include "cpu/place_loops.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

namespace fused_rankloss::cpu::avx2 {
namespace {

#include "cpu/place_loops.inl"

}  // namespace

extern const PlaceLoops kPlaceLoops;
// Constant, so that no instruction of this set runs before the choice is made.
constinit const PlaceLoops kPlaceLoops{loops_of<float>(), loops_of<double>()};

}  // namespace fused_rankloss::cpu::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
