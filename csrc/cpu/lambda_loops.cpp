// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/lambda_loops.h"

#include "cpu/isa.h"

namespace fused_rankloss::cpu {

namespace baseline {
extern const LambdaLoops kLambdaLoops;
}
namespace avx2 {
extern const LambdaLoops kLambdaLoops;
}
namespace avx512 {
extern const LambdaLoops kLambdaLoops;
}

const LambdaLoops& lambda_loops() {
#if defined(__x86_64__)
  switch (chosen_isa()) {
    case Isa::kAvx512:
      return avx512::kLambdaLoops;
    case Isa::kAvx2:
      return avx2::kLambdaLoops;
    default:
      break;
  }
#endif
  return baseline::kLambdaLoops;
}

}  // namespace fused_rankloss::cpu
