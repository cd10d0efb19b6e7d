// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/launch/launch.h"
#include "cuda/listwise/short.cuh"

template void fused_rankloss::cuda::listwise::run_short_listwise(DeviceQueue&, const ListwiseArgs&,
                                                                 int64_t, const ListPartials&);
