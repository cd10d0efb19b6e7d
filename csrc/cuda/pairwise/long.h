// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string_view>

#include "common/pairwise_args.h"
#include "cuda/list_partials.cuh"

namespace fused_rankloss {

// The kernels of the lists of more than partials.crossover slots, which finish the call; those of
// the other lists come first. Calls of up to `one_launch` slots are sorted by the kernel itself.
// long_lists.cu compiles them for a GPU.
template <class Queue>
void run_long_lists(Queue& queue, const PairwiseArgs& args, std::string_view loss_name,
                    const ListPartials& partials, int64_t one_launch);

}  // namespace fused_rankloss
