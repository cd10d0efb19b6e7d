// SPDX-License-Identifier: BSD-3-Clause
//
// For every processor.
#include "cpu/lambda_loops.h"
#include "losses/logistic.h"

namespace fused_rankloss::cpu::baseline {
namespace {

#include "cpu/lambda_loops.inl"

}  // namespace

extern const LambdaLoops kLambdaLoops;
constinit const LambdaLoops kLambdaLoops = make_lambda_loops();

}  // namespace fused_rankloss::cpu::baseline
