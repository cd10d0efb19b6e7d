// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/pair_loops.h"

#include "cpu/isa.h"

namespace fused_rankloss::cpu {

namespace baseline {
extern const PairLoops kPairLoops;
}
namespace avx2 {
extern const PairLoops kPairLoops;
}
namespace avx512 {
extern const PairLoops kPairLoops;
}

const PairLoops& pair_loops() {
#if defined(__x86_64__)
  switch (chosen_isa()) {
    case Isa::kAvx512:
      return avx512::kPairLoops;
    case Isa::kAvx2:
      return avx2::kPairLoops;
    default:
      break;
  }
#endif
  return baseline::kPairLoops;
}

}  // namespace fused_rankloss::cpu
