// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel of short lists' listwise losses and its launch.
#include "cuda/launch.h"
#include "cuda/listwise.h"
#include "cuda/listwise_dispatch.h"
#include "cuda/listwise_short.cuh"

namespace fused_rankloss {

int64_t short_listwise_bytes(const ListwiseArgs& args, int64_t crossover) {
  return ShortListwisePlan(args, crossover).workspace_bytes();
}

ListPartials launch_short_listwise(const ListwiseArgs& args, int64_t crossover, void* workspace,
                                   const LaunchScope& scope) {
  const ShortListwisePlan plan(args, crossover);
  const ShortListwiseParams params = plan.params(workspace);
  const unsigned grid = scope.grid(plan.num_blocks());
  if (params.finished_blocks != nullptr) {
    check_cuda(cudaMemsetAsync(params.finished_blocks, 0, sizeof(uint32_t), scope.stream()),
               scope.op());
  }
  dispatch_listwise(args, [&]<ListwiseLoss kLoss, typename Real>() {
    short_listwise_kernel<kLoss, Real>
        <<<grid, ShortListwisePlan::kThreads, 0, scope.stream()>>>(params);
  });
  scope.check_launch();
  return params.partials;
}

}  // namespace fused_rankloss
