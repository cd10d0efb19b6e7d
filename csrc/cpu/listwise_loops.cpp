// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/listwise_loops.h"

#include "cpu/isa.h"

namespace fused_rankloss::cpu {

namespace baseline {
extern const ListwiseLoops kListwiseLoops;
}
namespace avx2 {
extern const ListwiseLoops kListwiseLoops;
}
namespace avx512 {
extern const ListwiseLoops kListwiseLoops;
}

const ListwiseLoops& listwise_loops() {
#if defined(__x86_64__)
  switch (chosen_isa()) {
    case Isa::kAvx512:
      return avx512::kListwiseLoops;
    case Isa::kAvx2:
      return avx2::kListwiseLoops;
    default:
      break;
  }
#endif
  return baseline::kListwiseLoops;
}

}  // namespace fused_rankloss::cpu
