// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel of long lists' listwise losses and its launch.
#include "cuda/launch.h"
#include "cuda/listwise.h"
#include "cuda/listwise_dispatch.h"
#include "cuda/listwise_long_plan.cuh"

namespace fused_rankloss {

int64_t long_listwise_bytes(const ListwiseArgs& args, int64_t crossover, const LaunchScope& scope) {
  if (!may_have_longer_lists(args.lists, crossover)) return 0;
  check(args.lists.num_slots <= UINT32_MAX, scope.op(), ": expected at most ", UINT32_MAX,
        " scores in a call with long lists, got ", args.lists.num_slots);
  return LongListwisePlan(args, crossover).workspace_bytes();
}

void launch_long_listwise(const ListwiseArgs& args, const ListPartials& partials, void* workspace,
                          const LaunchScope& scope) {
  const LongListwisePlan plan(args, partials.crossover);
  const LongListwiseParams params = plan.params(workspace, partials);
  dispatch_listwise(args, [&]<ListwiseLoss kLoss, typename Real>() {
    launch_cooperative(scope, long_listwise_kernel<kLoss, Real>, plan.most_blocks(), kScanThreads,
                       params);
  });
}

}  // namespace fused_rankloss
