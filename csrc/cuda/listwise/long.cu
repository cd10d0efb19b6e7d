// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/launch.h"
#include "cuda/listwise_long.cuh"

template void fused_rankloss::run_long_listwise(DeviceQueue&, const ListwiseArgs&,
                                                const ListPartials&);
