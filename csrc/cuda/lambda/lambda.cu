// SPDX-License-Identifier: BSD-3-Clause
//
// The op lambda_forward on CUDA.
#include "bind/lambda.h"
#include "cuda/lambda/dispatch.cuh"
#include "cuda/launch/launch.h"

namespace fused_rankloss::cuda::lambda {
namespace {

void solve(const LambdaCall& call) {
  DeviceQueue queue(call.outputs->loss, call.op);
  run_lambda(queue, call.args);
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("lambda_forward", boxed<&Op<LambdaCall, solve>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cuda::lambda
