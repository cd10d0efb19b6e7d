// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/place_loops.h"

#include "cpu/isa.h"

namespace fused_rankloss::cpu {

namespace baseline {
extern const PlaceLoops kPlaceLoops;
}
namespace avx2 {
extern const PlaceLoops kPlaceLoops;
}
namespace avx512 {
extern const PlaceLoops kPlaceLoops;
}

const PlaceLoops& place_loops() {
#if defined(__x86_64__)
  switch (chosen_isa()) {
    case Isa::kAvx512:
      return avx512::kPlaceLoops;
    case Isa::kAvx2:
      return avx2::kPlaceLoops;
    default:
      break;
  }
#endif
  return baseline::kPlaceLoops;
}

}  // namespace fused_rankloss::cpu
