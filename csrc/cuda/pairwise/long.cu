// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of long lists.
#include "cuda/launch/launch.h"
#include "cuda/pairwise/long_plan.cuh"

namespace fused_rankloss::cuda::pairwise {

template void run_long_lists(DeviceQueue&, const PairwiseArgs&, std::string_view,
                             const ListPartials&, int64_t);

}  // namespace fused_rankloss::cuda::pairwise
