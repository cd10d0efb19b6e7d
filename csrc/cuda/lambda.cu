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
  check(call.args.lists.num_slots <= INT32_MAX, call.op, ": expected at most ", INT32_MAX,
        " scores in a call, got ", call.args.lists.num_slots);
  run_lambda(queue, call.args);
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("lambda_forward",
         fused_rankloss::boxed<&fused_rankloss::lambda_forward<fused_rankloss::solve>>());
}
