// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of long lists on a stream.
#include <algorithm>

#include "cuda/long_lists.h"
#include "cuda/long_lists_stream.h"
#include "cuda/one_list_plan.cuh"

namespace fused_rankloss {
namespace {

// Calls `body` with the plan for a call.
template <typename Body>
void with_plan(const PairwiseArgs& args, const std::string& loss_name, Body&& body) {
  dispatch_long_term(args, loss_name, [&]<class Term>() {
    using Key = ScoreKey<typename Term::Real>;
    const bool one_launch = args.lists.num_slots <= kOneLaunchSlots;
    body(LongListsPlan<Term>(args, one_launch ? 0 : sort_bytes<Key>(args.lists)));
  });
}

}  // namespace

int64_t long_lists_bytes(const PairwiseArgs& args, const std::string& loss_name,
                         const LaunchScope& scope) {
  check(args.lists.num_slots <= kMostLongSlots, scope.op(), ": expected at most ", kMostLongSlots,
        " scores in a call with long lists, got ", args.lists.num_slots);
  int64_t bytes = 0;
  with_plan(args, loss_name, [&](const auto& plan) { bytes = plan.workspace_bytes(); });
  return bytes;
}

void launch_long_lists(const PairwiseArgs& args, const std::string& loss_name,
                       const ListPartials& partials, void* workspace, const LaunchScope& scope) {
  with_plan(args, loss_name, [&](const auto& plan) {
    LongListsStream stream(scope);
    plan.run(stream, workspace, partials);
  });
}

void launch_unsolved_list(const PairwiseArgs& args, void* workspace, const uint32_t* solved,
                          const LaunchScope& scope) {
  with_unsolved_list(args, [&](const auto& plan) {
    LongListsStream stream(scope);
    plan.run(stream, workspace, solved);
  });
}

}  // namespace fused_rankloss
