// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/pairwise_args.h"

namespace fused_rankloss {

class LaunchScope;

// The workspace for a call of one long list of 16-bit scores whose gradients are counts, and its
// kernels, which solve all of it.
int64_t half_list_bytes(const PairwiseArgs& args);
void launch_half_list(const PairwiseArgs& args, void* workspace, const LaunchScope& scope);

}  // namespace fused_rankloss
