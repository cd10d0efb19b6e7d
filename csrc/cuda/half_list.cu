// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of one long list of 16-bit scores on a stream.
#include "cuda/half_list.h"
#include "cuda/half_list_plan.cuh"
#include "cuda/long_lists_stream.h"

namespace fused_rankloss {

int64_t half_list_bytes(const PairwiseArgs& args) { return HalfListPlan(args).workspace_bytes(); }

void launch_half_list(const PairwiseArgs& args, void* workspace, const LaunchScope& scope) {
  LongListsStream stream(scope);
  HalfListPlan(args).run(stream, workspace);
}

}  // namespace fused_rankloss
