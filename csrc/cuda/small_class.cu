// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of one long list with a small class on a stream.
#include "cuda/environment.h"
#include "cuda/long_lists_stream.h"
#include "cuda/small_class.h"
#include "cuda/small_class_plan.cuh"

namespace fused_rankloss {

bool wants_small_class() {
  static const bool wanted = is_switched_on(kSmallClassVariable);
  return wanted;
}

int64_t small_class_bytes(const PairwiseArgs& args) {
  int64_t bytes = 0;
  with_small_class_plan(args, [&](const auto& plan) { bytes = plan.workspace_bytes(); });
  return bytes;
}

void launch_small_class(const PairwiseArgs& args, void* workspace, const LaunchScope& scope) {
  with_small_class_plan(args, [&](const auto& plan) {
    LongListsStream stream(scope);
    plan.run(stream, workspace);
  });
}

}  // namespace fused_rankloss
