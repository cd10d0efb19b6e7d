// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/lambda_long.cuh"
#include "cuda/launch.h"

template void fused_rankloss::run_long_lambda(DeviceQueue&, const LambdaArgs&, const uint32_t*,
                                              const ListPartials&, bool);
