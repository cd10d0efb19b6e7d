// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/lambda_short.cuh"
#include "cuda/launch.h"

template void fused_rankloss::run_short_lambda(DeviceQueue&, const LambdaArgs&, int64_t,
                                               const uint32_t*, const ListPartials&);
