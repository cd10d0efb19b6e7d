// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/pair_loops.h"

#include <cstdlib>
#include <string_view>

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

namespace {

const PairLoops& choose() {
  const char* wish = std::getenv("FUSED_RANKLOSS_ISA");
  const auto wanted = [wish](std::string_view isa) {
    return wish == nullptr || *wish == '\0' || isa == wish;
  };
#if defined(__x86_64__)
  if (wanted("avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return avx512::kPairLoops;
  }
  if (wanted("avx2") && __builtin_cpu_supports("avx2")) return avx2::kPairLoops;
#endif
  static_cast<void>(wanted);
  return baseline::kPairLoops;
}

}  // namespace

const PairLoops& pair_loops() {
  static const PairLoops& chosen = choose();
  return chosen;
}

}  // namespace fused_rankloss::cpu
