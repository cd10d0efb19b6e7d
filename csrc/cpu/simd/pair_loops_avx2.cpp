// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX2 and FMA.
#include "cpu/pair_loops.h"

#if defined(__x86_64__)
#include "cpu/target_avx2.inl"

namespace fused_rankloss::cpu::avx2 {
namespace {

#include "cpu/pair_loops.inl"

}  // namespace

extern const PairLoops kPairLoops;
// Constant, so that no instruction of this set runs before the choice is made.
constinit const PairLoops kPairLoops = loops_for("avx2", PairLosses{});

}  // namespace fused_rankloss::cpu::avx2

#include "cpu/target_end.inl"
#endif  // __x86_64__
