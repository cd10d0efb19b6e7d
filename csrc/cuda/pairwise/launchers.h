// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of pairwise losses, each compiled in one file. dispatch.cuh chooses among them.
#pragma once

#include <string_view>

#include "args/pairwise.h"
#include "cuda/lists/partials.cuh"

namespace fused_rankloss::cuda::pairwise {

// Launches the kernel for lists of up to `longest` slots. It finishes the call, unless `partials`
// are given for the kernels of longer lists, which are launched after it. Instantiated in short.cu.
template <class Queue>
void run_short_lists(Queue& queue, const PairwiseArgs& args, std::string_view loss_name,
                     int64_t longest, const ListPartials& partials = {});

// Launches the kernels for lists of more than partials.crossover slots, which finish the call; the
// kernels of the other lists are launched before. Calls of up to `one_launch` slots are sorted by
// the kernel itself. Instantiated in long.cu.
template <class Queue>
void run_long_lists(Queue& queue, const PairwiseArgs& args, std::string_view loss_name,
                    const ListPartials& partials, int64_t one_launch);

}  // namespace fused_rankloss::cuda::pairwise
