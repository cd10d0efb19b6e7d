// SPDX-License-Identifier: BSD-3-Clause
//
// Chooses the kernels of a call of pairwise_forward, in launch order:
//
//   a batch of lists    the short-list kernel, then the long-list kernels if some may be longer
//   few lists           the tile kernel, then the long-list kernels if some may be very long
//
// The last kernel finishes the call. The host knows the number of lists and slots, but not the
// length of each list. So each kernel skips, on the device, the lists whose number of slots belongs
// to another kernel.
#pragma once

#include "cuda/lists/weight_units.cuh"
#include "cuda/pairwise/launchers.h"
#include "cuda/pairwise/policy.h"
#include "cuda/pairwise/tiled.cuh"

namespace fused_rankloss::cuda::pairwise {

struct PairwiseRoute {
  bool is_batch;                         // one warp or block per list, otherwise tiles
  int64_t crossover;                     // threshold: lists of more slots are sorted
  int64_t one_launch = kOneLaunchSlots;  // up to this many slots, the long-list kernel itself sorts
};

inline PairwiseRoute route_of(const PairwiseArgs& args) {
  const Lists& lists = args.lists;
  const bool is_batch =
      lists.num_lists >= kManyLists || lists.num_slots <= lists.num_lists * kWarpListItems;
  if (!is_batch) return {false, kLongList};
  return {true, args.counts ? kBlockListItems : kValueListItems};
}

template <class Queue>
void run_pairwise(Queue& queue, const PairwiseArgs& call, std::string_view loss_name,
                  const PairwiseRoute& route) {
  check_slots(call.lists, queue.op());
  PairwiseArgs args = call;
  args.weight_exponents = weight_exponents(queue, args, /*all_pairs=*/false);
  const Lists& lists = args.lists;
  const bool any_longer = longest_list(lists) > route.crossover;
  const bool any_other = !any_longer || lists.offsets || lists.lengths;
  if (!any_longer) {
    if (route.is_batch) {
      run_short_lists(queue, args, loss_name, route.crossover);
    } else {
      run_tiles(queue, args, loss_name, kNoLongLists);
    }
    return;
  }
  ListPartials partials;
  if (route.is_batch || !any_other) {
    partials = queue.workspace([&](Workspace& workspace) {
      return list_partials(workspace, lists, args.num_margins, route.crossover, route.is_batch);
    });
    if (any_other) run_short_lists(queue, args, loss_name, route.crossover, partials);
  } else {
    partials = run_tiles(queue, args, loss_name, route.crossover);
  }
  run_long_lists(queue, args, loss_name, partials, route.one_launch);
}

template <class Queue>
void run_pairwise(Queue& queue, const PairwiseArgs& args, std::string_view loss_name) {
  run_pairwise(queue, args, loss_name, route_of(args));
}

}  // namespace fused_rankloss::cuda::pairwise
