// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/lambda_args.h"

namespace fused_rankloss {

struct ListPartials;

// The kernels of lists of more than `partials.crossover` slots, which also finish the call; that of
// the other lists comes first. `scans`: pairs whose weights factor are added up by a scan.
// lambda_long.cu compiles it for a GPU.
template <class Queue>
void run_long_lambda(Queue& queue, const LambdaArgs& args, const uint32_t* weight_exponents,
                     const ListPartials& partials, bool scans);

}  // namespace fused_rankloss
