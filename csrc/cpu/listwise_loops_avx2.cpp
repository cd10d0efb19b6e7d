// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX2.
#include "cpu/listwise_loops.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

namespace fused_rankloss::cpu::avx2 {
namespace {

#include "cpu/listwise_loops.inl"

}  // namespace

extern const ListwiseLoops kListwiseLoops;
// Constant, so that no instruction of this set runs before the choice is made.
constinit const ListwiseLoops kListwiseLoops = make_listwise_loops();

}  // namespace fused_rankloss::cpu::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
