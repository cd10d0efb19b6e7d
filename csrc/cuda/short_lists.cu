// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel of short lists and its launch.
#include "cuda/launch.h"
#include "cuda/short_lists.cuh"

namespace fused_rankloss {

int64_t short_lists_bytes(const PairwiseArgs& args) {
  return ShortListsPlan(args, kBlockListItems).workspace_bytes();
}

void launch_short_lists(const PairwiseArgs& args, const std::string& loss_name, int64_t longest,
                        const ListPartials* partials, void* workspace, const LaunchScope& scope) {
  const ShortListsPlan plan(args, longest, partials ? *partials : ListPartials{});
  const ShortListsParams params = plan.params(workspace);
  check(plan.most_blocks() <= INT32_MAX, scope.op(), ": expected work for at most ", INT32_MAX,
        " warps, got ", plan.most_blocks());
  check_cuda(cudaMemsetAsync(params.counters, 0, ShortListsParams::kCounterBytes, scope.stream()),
             scope.op());
  dispatch_term(args, loss_name, scope.slow_double(), [&]<class Term>() {
    const auto kernel = short_lists_kernel<Term>;
    const int64_t shared_bytes = plan.shared_bytes<Term>();
    const int64_t resident = scope.resident_blocks(reinterpret_cast<const void*>(kernel),
                                                   ShortListsPlan::kThreads, shared_bytes);
    const unsigned grid = scope.grid(std::min(plan.most_blocks(), resident));
    kernel<<<grid, ShortListsPlan::kThreads, shared_bytes, scope.stream()>>>(params);
  });
  scope.check_launch();
}

}  // namespace fused_rankloss
