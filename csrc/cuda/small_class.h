// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/pairwise_args.h"

namespace fused_rankloss {

class LaunchScope;

// Whether calls that may have a small class are to be looked at for it.
bool wants_small_class();

// The workspace for a call of one long list whose gradients are counts, and its kernels, which
// solve all of it: without sorting all items where one of two levels is small.
int64_t small_class_bytes(const PairwiseArgs& args);
void launch_small_class(const PairwiseArgs& args, void* workspace, const LaunchScope& scope);

}  // namespace fused_rankloss
