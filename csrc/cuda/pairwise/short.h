// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string_view>

#include "common/pairwise_args.h"
#include "cuda/list_partials.cuh"

namespace fused_rankloss {

// The kernel of lists of up to `longest` slots. It finishes the call, unless there are `partials`
// for the kernels of the longer lists, which come after it. short_lists.cu compiles it for a GPU.
template <class Queue>
void run_short_lists(Queue& queue, const PairwiseArgs& args, std::string_view loss_name,
                     int64_t longest, const ListPartials& partials = {});

}  // namespace fused_rankloss
