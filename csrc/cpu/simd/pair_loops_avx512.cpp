// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX-512 F, BW, DQ and VL.
#include "cpu/pair_loops.h"

#if defined(__x86_64__)
#include "cpu/target_avx512.inl"

namespace fused_rankloss::cpu::avx512 {
namespace {

#include "cpu/pair_loops.inl"

}  // namespace

extern const PairLoops kPairLoops;
// Constant, so that no instruction of this set runs before the choice is made.
constinit const PairLoops kPairLoops = loops_for("avx512", PairLosses{});

}  // namespace fused_rankloss::cpu::avx512

#include "cpu/target_end.inl"
#endif  // __x86_64__
