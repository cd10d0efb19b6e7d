// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/lambda/scan.cuh"
#include "cuda/launch/launch.h"

namespace fused_rankloss::cuda::lambda {

template void run_lambda_scan(DeviceQueue&, const LambdaArgs&, int64_t, bool,
                              const RankedLists<float>&, OrderedPairs*);
template void run_lambda_scan(DeviceQueue&, const LambdaArgs&, int64_t, bool,
                              const RankedLists<double>&, OrderedPairs*);

}  // namespace fused_rankloss::cuda::lambda
