// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX-512 F, BW, DQ and VL.
#include "cpu/listwise_loops.h"

#if defined(__x86_64__)
#include "cpu/target_avx512.inl"

namespace fused_rankloss::cpu::avx512 {
namespace {

#include "cpu/listwise_loops.inl"

}  // namespace

extern const ListwiseLoops kListwiseLoops;
// Constant, so that no instruction of this set runs before the choice is made.
constinit const ListwiseLoops kListwiseLoops = make_listwise_loops();

}  // namespace fused_rankloss::cpu::avx512

#include "cpu/target_end.inl"
#endif  // __x86_64__
