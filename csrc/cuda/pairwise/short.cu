// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel of short lists.
#include "cuda/launch/launch.h"
#include "cuda/pairwise/short.cuh"

namespace fused_rankloss::cuda::pairwise {

template void run_short_lists(DeviceQueue&, const PairwiseArgs&, std::string_view, int64_t,
                              const ListPartials&);

}  // namespace fused_rankloss::cuda::pairwise
