// SPDX-License-Identifier: BSD-3-Clause
//
// The scan over long lists on a stream.
#include "cuda/launch.h"
#include "cuda/lambda_scan_plan.cuh"

namespace fused_rankloss {

int64_t lambda_scan_bytes(const LambdaArgs& args, int64_t most_lists) {
  if (args.score_type == ScoreType::kDouble) {
    return LambdaScanPlan<double>(args, most_lists).workspace_bytes();
  }
  return LambdaScanPlan<float>(args, most_lists).workspace_bytes();
}

template <typename Real>
void launch_lambda_scan(const LambdaArgs& args, int64_t most_lists, const RankedLists<Real>& items,
                        void* workspace, const LaunchScope& scope) {
  const LambdaScanPlan<Real> plan(args, most_lists);
  launch_cooperative(scope, lambda_scan_kernel<Real>, plan.num_tiles(), kScanThreads,
                     plan.params(items, workspace));
}

template void launch_lambda_scan(const LambdaArgs&, int64_t, const RankedLists<float>&, void*,
                                 const LaunchScope&);
template void launch_lambda_scan(const LambdaArgs&, int64_t, const RankedLists<double>&, void*,
                                 const LaunchScope&);

}  // namespace fused_rankloss
