// SPDX-License-Identifier: BSD-3-Clause
//
// The op lambda_forward on CUDA.
#include "common/lambda_op.h"
#include "cuda/lambda.cuh"
#include "cuda/launch.h"

namespace fused_rankloss {
namespace {

void solve(const Tensor& scores, const LambdaCall& call) {
  DeviceQueue queue(scores, call.op);
  run_lambda(queue, call.args);
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("lambda_forward",
         fused_rankloss::boxed<&fused_rankloss::lambda_forward<fused_rankloss::solve>>());
}
