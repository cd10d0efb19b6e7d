// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX-512 F, BW, DQ and VL.
#include "cpu/place_loops.h"

#if defined(__x86_64__)
#include "cpu/target_avx512.inl"

namespace fused_rankloss::cpu::avx512 {
namespace {

#include "cpu/place_loops.inl"

}  // namespace

extern const PlaceLoops kPlaceLoops;
// Constant, so that no instruction of this set runs before the choice is made.
constinit const PlaceLoops kPlaceLoops{loops_of<float>(), loops_of<double>()};

}  // namespace fused_rankloss::cpu::avx512

#include "cpu/target_end.inl"
#endif  // __x86_64__
