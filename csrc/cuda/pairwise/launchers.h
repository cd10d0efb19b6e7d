// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of pairwise losses, each compiled in one file. dispatch.cuh chooses among them.
#pragma once

#include <string_view>

#include "args/pairwise.h"
#include "cuda/lists/partials.cuh"

namespace fused_rankloss::cuda::pairwise {

// The kernel of lists of up to `longest` slots. It finishes the call, unless there are `partials`
// for the kernels of the longer lists, which come after it. short.cu compiles it for a GPU.
template <class Queue>
void run_short_lists(Queue& queue, const PairwiseArgs& args, std::string_view loss_name,
                     int64_t longest, const ListPartials& partials = {});

// The kernels of the lists of more than partials.crossover slots, which finish the call; those of
// the other lists come first. Calls of up to `one_launch` slots are sorted by the kernel itself.
// long.cu compiles them for a GPU.
template <class Queue>
void run_long_lists(Queue& queue, const PairwiseArgs& args, std::string_view loss_name,
                    const ListPartials& partials, int64_t one_launch);

}  // namespace fused_rankloss::cuda::pairwise
