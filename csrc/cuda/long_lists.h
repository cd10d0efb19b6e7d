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

}  // namespace fused_rankloss
