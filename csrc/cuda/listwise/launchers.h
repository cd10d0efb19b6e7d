// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "args/listwise.h"
#include "cuda/lists/partials.cuh"

namespace fused_rankloss::cuda::listwise {

// Launches the kernel for lists of up to `longest` slots, at most kBlockListItems. It finishes the
// call, unless `partials` are given for the kernel of longer lists, which is launched after it.
// Instantiated in short.cu.
template <class Queue>
void run_short_listwise(Queue& queue, const ListwiseArgs& args, int64_t longest,
                        const ListPartials& partials);

// Launches the kernel for lists of more than `partials.crossover` slots, which also finishes the
// call. Instantiated in long.cu.
template <class Queue>
void run_long_listwise(Queue& queue, const ListwiseArgs& args, const ListPartials& partials);

}  // namespace fused_rankloss::cuda::listwise
