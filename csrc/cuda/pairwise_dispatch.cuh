// SPDX-License-Identifier: BSD-3-Clause
//
// Which kernels solve a call of pairwise_forward, in their order:
//
//   one long list of 16-bit scores     its kernels, where gradients are counts
//   one list of more slots than one    its kernels, which solve it without sorting all of it if it
//   launch takes                       has a small class, where gradients are counts and it is
//                                      wanted
//   short lists                        their kernel, which finishes the call
//   short lists, and some longer       the same, then that of long lists, which finishes the call
//   other lists                        the tile kernel, which finishes the call
//   other lists, and some very long    the same, then that of long lists, which finishes the call
//   very long lists alone              that of long lists
//
// That of long lists is one launch with up to kOneLaunchSlots slots in the call, whether it finds
// any long list or none; with more, a library sorts for it (long_lists_plan.cuh).
//
// The host knows the number of lists and slots, but not how long each list is: lists that turn out
// to be some other kernel's are left to it on the device, by their number of slots.
#pragma once

#include "common/half_keys.h"
#include "cuda/pairwise.cuh"
#include "cuda/short_lists.h"

namespace fused_rankloss {

// Whether a call is counted by score (half_list.cuh), as far as the host knows.
inline bool is_half_list(const PairwiseArgs& args) {
  const int64_t slots = args.lists.num_slots;
  return args.counts && is_half(args.score_type) && args.lists.num_lists == 1 &&
         slots > kHalfList && slots <= kMostLongSlots;
}

// Whether a call may have a small class (small_class.cuh), as far as the host knows.
inline bool may_have_small_class(const PairwiseArgs& args) {
  const int64_t slots = args.lists.num_slots;
  return args.counts && args.lists.num_lists == 1 && slots > kOneLaunchSlots &&
         slots <= kMostLongSlots;
}

// Runs everything on a Device, which is a GPU's stream or the host harness:
//
//   workspace(bytes)               uninitialised memory, until the call is over
//   half_list_bytes()              of workspace
//   half_list(memory)              the kernels of one list of 16-bit scores
//   wants_small_class()            whether lists are to be looked at for it
//   small_class_bytes()            of workspace
//   small_class(memory)            the kernels of one list that may have one
//   longest_short_list()           what their kernel takes on this device
//   short_lists_bytes()            of workspace
//   short_lists(partials, memory)  their kernel, which finishes the call if there are no partials
//   tiles(plan, params)            the tile kernel
//   long_lists_bytes()             of workspace
//   long_lists(partials, memory)   the kernels of long lists
template <class Device>
void run_pairwise(const PairwiseArgs& args, Device& device) {
  if (is_half_list(args)) {
    device.half_list(device.workspace(device.half_list_bytes()));
    return;
  }
  if (may_have_small_class(args) && device.wants_small_class()) {
    device.small_class(device.workspace(device.small_class_bytes()));
    return;
  }
  const int64_t longest_short = device.longest_short_list();
  const bool are_short = are_short_lists(args, longest_short);
  const int64_t crossover = are_short ? longest_short : kLongList;
  const PairwisePlan plan(args, args.counts ? kCountTile : kValueTile, crossover);
  const bool any_long = plan.may_have_long_lists();
  if (are_short && !any_long) {
    device.short_lists(nullptr, device.workspace(device.short_lists_bytes()));
    return;
  }
  const int64_t long_bytes = any_long ? device.long_lists_bytes() : 0;
  const int64_t short_bytes = are_short ? device.short_lists_bytes() : 0;
  char* memory =
      static_cast<char*>(device.workspace(long_bytes + short_bytes + plan.workspace_bytes()));
  PairwiseParams params = plan.params(memory + long_bytes + short_bytes);
  if (are_short) {
    params.partials.whole_lists = true;
    device.short_lists(&params.partials, memory + long_bytes);
  } else if (plan.may_have_other_lists()) {
    device.tiles(plan, params);
  }
  if (any_long) device.long_lists(params.partials, memory);
}

}  // namespace fused_rankloss
