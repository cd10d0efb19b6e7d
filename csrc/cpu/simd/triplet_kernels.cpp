// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/triplet_kernels.h"

#include "cpu/isa.h"

namespace fused_rankloss::cpu {

FRL_LOOPS_OF_CHOSEN_ISA(TripletKernels, kTripletKernels, triplet_kernels)

}  // namespace fused_rankloss::cpu
