// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of a lambda loss over long lists on a stream.
#include "cuda/lambda_long.h"
#include "cuda/lambda_long_plan.cuh"
#include "cuda/lambda_scan.h"
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
  with_plan(args, crossover, [&](const auto& plan) {
    bytes = plan.workspace_bytes();
    if (scan_factors(args)) bytes += lambda_scan_bytes(args, plan.most_lists());
  });
  return bytes;
}

void launch_long_lambda(const LambdaArgs& args, const ListPartials& partials, void* workspace,
                        const LaunchScope& scope) {
  with_plan(args, partials.crossover, [&](const auto& plan) {
    LongListsStream stream(scope);
    plan.run(stream, workspace, partials, [&](const auto& params) {
      if (!scan_factors(args)) return plan.run_direct_pairs(stream, params);
      launch_lambda_scan(args, plan.most_lists(), params.ranked_lists(),
                         static_cast<char*>(workspace) + plan.workspace_bytes(), scope);
    });
  });
}

}  // namespace fused_rankloss
