// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/triplet_kernels.h"

#include "cpu/isa.h"

namespace fused_rankloss::cpu {

namespace baseline {
extern const TripletKernels kTripletKernels;
}
namespace avx2 {
extern const TripletKernels kTripletKernels;
}
namespace avx512 {
extern const TripletKernels kTripletKernels;
}

const TripletKernels& triplet_kernels() {
#if defined(__x86_64__)
  switch (chosen_isa()) {
    case Isa::kAvx512:
      return avx512::kTripletKernels;
    case Isa::kAvx2:
      return avx2::kTripletKernels;
    default:
      break;
  }
#endif
  return baseline::kTripletKernels;
}

}  // namespace fused_rankloss::cpu
