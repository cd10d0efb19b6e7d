// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/launch/launch.h"
#include "cuda/listwise/long.cuh"

template void fused_rankloss::cuda::listwise::run_long_listwise(DeviceQueue&, const ListwiseArgs&,
                                                                const ListPartials&);
