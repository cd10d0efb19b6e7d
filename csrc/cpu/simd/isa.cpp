// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/isa.h"

#include <cstdlib>
#include <string_view>

namespace fused_rankloss::cpu {
namespace {

Isa choose() {
  const char* wish = std::getenv("FUSED_RANKLOSS_ISA");
  const auto wanted = [wish](std::string_view isa) {
    return wish == nullptr || *wish == '\0' || isa == wish;
  };
#if defined(__x86_64__)
  if (wanted("avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return Isa::kAvx512;
  }
  if (wanted("avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return Isa::kAvx2;
  }
#endif
  static_cast<void>(wanted);
  return Isa::kBaseline;
}

}  // namespace

Isa chosen_isa() {
  static const Isa chosen = choose();
  return chosen;
}

}  // namespace fused_rankloss::cpu
