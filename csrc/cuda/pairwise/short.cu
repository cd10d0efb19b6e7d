// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel of short lists.
#include "cuda/launch.h"
#include "cuda/short_lists.cuh"

namespace fused_rankloss {

template void run_short_lists(DeviceQueue&, const PairwiseArgs&, std::string_view, int64_t,
                              const ListPartials&);

}  // namespace fused_rankloss
