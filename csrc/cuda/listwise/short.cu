// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/launch.h"
#include "cuda/listwise_short.cuh"

template void fused_rankloss::run_short_listwise(DeviceQueue&, const ListwiseArgs&, int64_t,
                                                 const ListPartials&);
