// SPDX-License-Identifier: BSD-3-Clause
//
// The op lambda_forward on CUDA.
#include "bind/lambda.h"
#include "cuda/lambda/dispatch.cuh"
#include "cuda/launch/launch.h"

namespace fused_rankloss::cuda::lambda {
namespace {

void solve(const Tensor& scores, const LambdaCall& call) {
  DeviceQueue queue(scores, call.op);
  run_lambda(queue, call.args);
}

}  // namespace
}  // namespace fused_rankloss::cuda::lambda

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("lambda_forward",
         fused_rankloss::boxed<
             &fused_rankloss::lambda_forward<fused_rankloss::cuda::lambda::solve>>());
}
