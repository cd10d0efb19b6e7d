// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/lambda_loops.h"

#include "cpu/isa.h"

namespace fused_rankloss::cpu {

FRL_LOOPS_OF_CHOSEN_ISA(LambdaLoops, kLambdaLoops, lambda_loops)

}  // namespace fused_rankloss::cpu
