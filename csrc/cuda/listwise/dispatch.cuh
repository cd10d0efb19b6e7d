// SPDX-License-Identifier: BSD-3-Clause
//
// A call of listwise_forward on CUDA: which kernels take it.
#pragma once

#include "cuda/lists/partials.cuh"
#include "cuda/listwise/launchers.h"

namespace fused_rankloss::cuda::listwise {

// `longest_short`: tests choose another.
template <class Queue>
void run_listwise(Queue& queue, const ListwiseArgs& args, int64_t longest_short = kBlockListItems) {
  const Lists& lists = args.lists;
  check_slots(lists, queue.op());
  if (longest_list(lists) <= longest_short) {
    run_short_listwise(queue, args, longest_short, ListPartials{});
    return;
  }
  const ListPartials partials = queue.workspace([&](Workspace& workspace) {
    return list_partials(workspace, lists, /*num_margins=*/1, longest_short, /*whole_lists=*/true);
  });
  run_short_listwise(queue, args, longest_short, partials);
  run_long_listwise(queue, args, partials);
}

}  // namespace fused_rankloss::cuda::listwise
