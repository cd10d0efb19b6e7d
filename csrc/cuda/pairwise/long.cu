// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of long lists.
#include "cuda/launch.h"
#include "cuda/long_lists_plan.cuh"

namespace fused_rankloss {

template void run_long_lists(DeviceQueue&, const PairwiseArgs&, std::string_view,
                             const ListPartials&, int64_t);

}  // namespace fused_rankloss
