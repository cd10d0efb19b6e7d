// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel of lambda losses over short lists and its launch.
#include "cuda/lambda_short.cuh"
#include "cuda/lambda_short.h"
#include "cuda/launch.h"

namespace fused_rankloss {

int64_t short_lambda_bytes(const LambdaArgs& args) {
  return ShortLambdaPlan(args).workspace_bytes();
}

void launch_short_lambda(const LambdaArgs& args, const ListPartials* partials, void* workspace,
                         const LaunchScope& scope) {
  const ShortLambdaPlan plan(args, partials ? *partials : ListPartials{});
  const ShortLambdaParams params = plan.params(workspace);
  const unsigned grid = scope.grid(plan.num_blocks());
  if (params.finishes()) {
    check_cuda(cudaMemsetAsync(params.finished_blocks, 0, sizeof(uint32_t), scope.stream()),
               scope.op());
  }
  dispatch_short_lambda(args, [&]<class Loss, typename Real>() {
    lambda_short_kernel<Loss, Real><<<grid, ShortLambdaPlan::kThreads, 0, scope.stream()>>>(params);
  });
  scope.check_launch();
}

}  // namespace fused_rankloss
