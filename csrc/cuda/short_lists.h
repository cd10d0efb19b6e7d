// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "common/pairwise_args.h"
#include "cuda/policy.h"

namespace fused_rankloss {

struct ListPartials;
class LaunchScope;

// ---- Which batches are short lists, as far as the host knows ----------------

// What a device has: bytes of shared memory, those of a block if it asks for many.
struct SharedMemory {
  int64_t of_block;
  int64_t of_multiprocessor;
};

// The most slots of a list that a warp or block solves. Medium lists take so much shared memory
// that a multiprocessor may hold one block instead of two, whatever their lists turn out to be:
// where longer lists are left to other kernels anyway, medium ones are, too.
inline int64_t longest_short_list(const PairwiseArgs& args, const SharedMemory& shared) {
  if (!args.counts) return kValueListItems;
  const bool narrow = shared.of_multiprocessor < 2 * kMediumBlockBytes;
  if (shared.of_block < kMediumBlockBytes || (narrow && args.lists.offsets)) {
    return kBlockListItems;
  }
  const bool wide = args.score_type == ScoreType::kDouble;
  return wide ? kMediumListItems<double> : kMediumListItems<float>;
}

// Most lists are short, and so many that one block a list keeps a GPU busy.
inline bool are_short_lists(const PairwiseArgs& args, int64_t longest) {
  const Lists& lists = args.lists;
  if (lists.num_slots <= lists.num_lists * kWarpListItems) return true;
  return lists.num_lists >= kManyLists && lists.num_slots <= lists.num_lists * longest;
}

// ---- Launch ----------------------------------------------------------------

// The kernel of lists of up to `longest` slots, in so much workspace. It finishes the call unless
// there are `partials` for the kernels of the longer lists, which come after it.
int64_t short_lists_bytes(const PairwiseArgs& args);
void launch_short_lists(const PairwiseArgs& args, const std::string& loss_name, int64_t longest,
                        const ListPartials* partials, void* workspace, const LaunchScope& scope);

}  // namespace fused_rankloss
