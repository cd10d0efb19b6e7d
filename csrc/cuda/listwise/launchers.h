// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/listwise_args.h"

namespace fused_rankloss {

struct ListPartials;

// The kernel of lists of up to `longest` slots, kBlockListItems at most. It finishes the call,
// unless there are `partials` for the kernel of the longer lists, which comes after it.
// listwise_short.cu compiles it for a GPU.
template <class Queue>
void run_short_listwise(Queue& queue, const ListwiseArgs& args, int64_t longest,
                        const ListPartials& partials);

// The kernel of lists of more than `partials.crossover` slots, which also finishes the call.
// listwise_long.cu compiles it for a GPU.
template <class Queue>
void run_long_listwise(Queue& queue, const ListwiseArgs& args, const ListPartials& partials);

}  // namespace fused_rankloss
