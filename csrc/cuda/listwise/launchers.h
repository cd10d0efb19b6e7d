// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "args/listwise.h"
#include "cuda/lists/partials.cuh"

namespace fused_rankloss::cuda::listwise {

// The kernel of lists of up to `longest` slots, kBlockListItems at most. It finishes the call,
// unless there are `partials` for the kernel of the longer lists, which comes after it.
// short.cu compiles it for a GPU.
template <class Queue>
void run_short_listwise(Queue& queue, const ListwiseArgs& args, int64_t longest,
                        const ListPartials& partials);

// The kernel of lists of more than `partials.crossover` slots, which also finishes the call.
// long.cu compiles it for a GPU.
template <class Queue>
void run_long_listwise(Queue& queue, const ListwiseArgs& args, const ListPartials& partials);

}  // namespace fused_rankloss::cuda::listwise
