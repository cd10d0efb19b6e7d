// SPDX-License-Identifier: BSD-3-Clause
//
// For processors with AVX-512 F, BW, DQ and VL.
#include "cpu/lambda_loops.h"
#include "losses/logistic.h"

#if defined(__x86_64__)
#include "cpu/target_avx512.inl"

namespace fused_rankloss::cpu::avx512 {
namespace {

#include "cpu/lambda_loops.inl"

}  // namespace

extern const LambdaLoops kLambdaLoops;
// Constant, so that no instruction of this set runs before the choice is made.
constinit const LambdaLoops kLambdaLoops = make_lambda_loops();

}  // namespace fused_rankloss::cpu::avx512

#include "cpu/target_end.inl"
#endif  // __x86_64__
