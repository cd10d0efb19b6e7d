// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/lambda_args.h"
#include "cuda/lambda_policy.h"

namespace fused_rankloss {

struct ListPartials;

// The kernel of lists of up to `longest` slots, kShortLambda at most. It finishes the call, unless
// there are `partials` for the kernels of the longer lists, which come after it. lambda_short.cu
// compiles it for a GPU.
template <class Queue>
void run_short_lambda(Queue& queue, const LambdaArgs& args, int64_t longest,
                      const uint32_t* weight_exponents, const ListPartials& partials);

}  // namespace fused_rankloss
