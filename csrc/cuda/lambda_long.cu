// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of a lambda loss over long lists on a stream.
#include "cuda/lambda_long.h"
#include "cuda/lambda_long_plan.cuh"
#include "cuda/long_lists_stream.h"

namespace fused_rankloss {
namespace {

// Calls `body` with the plan for a call.
template <typename Body>
void with_plan(const LambdaArgs& args, int64_t crossover, Body&& body) {
  dispatch_lambda_real(args, [&]<class Real>() {
    body(LambdaLongPlan<Real>(args, crossover, sort_bytes<ScoreKey<Real>>(args.lists)));
  });
}

}  // namespace

int64_t long_lambda_bytes(const LambdaArgs& args, int64_t crossover, const LaunchScope& scope) {
  check(args.lists.num_slots <= kMostLongSlots, scope.op(), ": expected at most ", kMostLongSlots,
        " scores in a call with long lists, got ", args.lists.num_slots);
  int64_t bytes = 0;
  with_plan(args, crossover, [&](const auto& plan) { bytes = plan.workspace_bytes(); });
  return bytes;
}

void launch_long_lambda(const LambdaArgs& args, const ListPartials& partials, void* workspace,
                        const LaunchScope& scope) {
  with_plan(args, partials.crossover, [&](const auto& plan) {
    LongListsStream stream(scope);
    plan.run(stream, workspace, partials,
             [&](const auto& params) { plan.run_direct_pairs(stream, params); });
  });
}

}  // namespace fused_rankloss
