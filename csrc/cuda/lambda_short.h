// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/lambda_args.h"
#include "cuda/lambda_policy.h"

namespace fused_rankloss {

struct ListPartials;
class LaunchScope;

// The kernel of lists of up to kShortLambda slots. It finishes the call, for which it needs so much
// workspace, unless there are `partials` for the kernels of the longer lists, which come after it.
int64_t short_lambda_bytes(const LambdaArgs& args);
void launch_short_lambda(const LambdaArgs& args, const ListPartials* partials, void* workspace,
                         const LaunchScope& scope);

}  // namespace fused_rankloss
