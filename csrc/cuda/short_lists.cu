// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel of short lists and its launch.
#include "cuda/launch.h"
#include "cuda/short_lists.cuh"

namespace fused_rankloss {

int64_t short_lists_bytes(const PairwiseArgs& args) {
  return ShortListsPlan(args).workspace_bytes();
}

void launch_short_lists(const PairwiseArgs& args, const std::string& loss_name,
                        const ListPartials* partials, void* workspace, const LaunchScope& scope) {
  const ShortListsPlan plan(args, partials ? *partials : ListPartials{});
  const ShortListsParams params = plan.params(workspace);
  const unsigned grid = scope.grid(plan.num_blocks());
  if (params.finishes()) {
    check_cuda(cudaMemsetAsync(params.finished_blocks, 0, sizeof(uint32_t), scope.stream()),
               scope.op());
  }
  dispatch_term(args, loss_name, scope.slow_double(), [&]<class Term>() {
    short_lists_kernel<Term><<<grid, ShortListsPlan::kThreads, 0, scope.stream()>>>(params);
  });
  scope.check_launch();
}

}  // namespace fused_rankloss
