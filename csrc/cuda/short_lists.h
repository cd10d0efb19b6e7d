// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "common/pairwise_args.h"
#include "cuda/policy.h"

namespace fused_rankloss {

struct ListPartials;
class LaunchScope;

// ---- Which batches are short lists, as far as the host knows ----------------

FRL_HD constexpr int64_t longest_short_list(bool counts) {
  return counts ? kBlockListItems : kValueListItems;
}

// Most lists are short, and so many that one block a list keeps a GPU busy.
inline bool are_short_lists(const PairwiseArgs& args) {
  const Lists& lists = args.lists;
  if (lists.num_slots <= lists.num_lists * kWarpListItems) return true;
  return lists.num_lists >= kManyLists &&
         lists.num_slots <= lists.num_lists * longest_short_list(args.counts);
}

// ---- Launch ----------------------------------------------------------------

// The kernel of short lists, in so much workspace. It finishes the call unless there are `partials`
// for the kernels of the longer lists, which come after it.
int64_t short_lists_bytes(const PairwiseArgs& args);
void launch_short_lists(const PairwiseArgs& args, const std::string& loss_name,
                        const ListPartials* partials, void* workspace, const LaunchScope& scope);

}  // namespace fused_rankloss
