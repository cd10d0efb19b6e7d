// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/lambda_args.h"

namespace fused_rankloss {

struct ListPartials;
class LaunchScope;

// The workspace for the lists of a lambda loss that have more than `crossover` slots, and their
// kernels, which also finish the call. Those of the other lists come first.
int64_t long_lambda_bytes(const LambdaArgs& args, int64_t crossover, const LaunchScope& scope);
void launch_long_lambda(const LambdaArgs& args, const ListPartials& partials, void* workspace,
                        const LaunchScope& scope);

}  // namespace fused_rankloss
