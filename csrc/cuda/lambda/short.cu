// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/lambda/short.cuh"
#include "cuda/launch/launch.h"

template void fused_rankloss::cuda::lambda::run_short_lambda(DeviceQueue&, const LambdaArgs&,
                                                             int64_t, const uint32_t*,
                                                             const ListPartials&);
