// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "common/pairwise_args.h"

namespace fused_rankloss {

struct ListPartials;
class LaunchScope;

// The workspace for the long lists of a call, and their kernels, which also finish the call. Those
// of the other lists come first.
int64_t long_lists_bytes(const PairwiseArgs& args, const std::string& loss_name,
                         const LaunchScope& scope);
void launch_long_lists(const PairwiseArgs& args, const std::string& loss_name,
                       const ListPartials& partials, void* workspace, const LaunchScope& scope);

// The kernel that solves a call of one long list, whose gradients are counts, after all: where
// *solved is 0 by then (one_list_plan.cuh).
void launch_unsolved_list(const PairwiseArgs& args, void* workspace, const uint32_t* solved,
                          const LaunchScope& scope);

}  // namespace fused_rankloss
