// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/lambda/long.cuh"
#include "cuda/launch/launch.h"

template void fused_rankloss::cuda::lambda::run_long_lambda(DeviceQueue&, const LambdaArgs&,
                                                            const uint32_t*, const ListPartials&,
                                                            bool);
