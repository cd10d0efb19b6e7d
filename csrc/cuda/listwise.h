// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/listwise_args.h"

namespace fused_rankloss {

struct ListPartials;
class LaunchScope;

// Whether some list may have more slots, as far as the host knows.
inline bool may_have_longer_lists(const Lists& lists, int64_t crossover) {
  return lists.num_lists > 0 && (lists.offsets ? lists.num_slots : lists.width) > crossover;
}

// The kernel of lists of up to `crossover` slots, and so much workspace for it. It finishes the
// call unless some list may be longer; then it leaves `partials` for the kernel of those.
int64_t short_listwise_bytes(const ListwiseArgs& args, int64_t crossover);
ListPartials launch_short_listwise(const ListwiseArgs& args, int64_t crossover, void* workspace,
                                   const LaunchScope& scope);

// The kernel of all other lists, which comes after it and finishes the call; 0 bytes where there
// can be no such list.
int64_t long_listwise_bytes(const ListwiseArgs& args, int64_t crossover, const LaunchScope& scope);
void launch_long_listwise(const ListwiseArgs& args, const ListPartials& partials, void* workspace,
                          const LaunchScope& scope);

}  // namespace fused_rankloss
