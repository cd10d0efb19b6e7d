// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/simd/isa.h"

#include <cstdlib>
#include <string_view>

#include "cpu/simd/all_loops.h"

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

// Declares the table `name` of inner loops of each instruction set, which <isa>.cpp defines.
// Defines `const Table& function()` in this namespace, which returns the table of the chosen one.
#if defined(__x86_64__)
#define FRL_LOOPS_OF_CHOSEN_ISA(Table, name, function) \
  namespace baseline {                                 \
  extern const Table name;                             \
  }                                                    \
  namespace avx2 {                                     \
  extern const Table name;                             \
  }                                                    \
  namespace avx512 {                                   \
  extern const Table name;                             \
  }                                                    \
  const Table& function() {                            \
    switch (chosen_isa()) {                            \
      case Isa::kAvx512:                               \
        return avx512::name;                           \
      case Isa::kAvx2:                                 \
        return avx2::name;                             \
      default:                                         \
        return baseline::name;                         \
    }                                                  \
  }
#else
#define FRL_LOOPS_OF_CHOSEN_ISA(Table, name, function) \
  namespace baseline {                                 \
  extern const Table name;                             \
  }                                                    \
  const Table& function() { return baseline::name; }
#endif

FRL_LOOPS_OF_CHOSEN_ISA(PairLoops, kPairLoops, pair_loops)
FRL_LOOPS_OF_CHOSEN_ISA(BucketLoops, kBucketLoops, bucket_loops)
FRL_LOOPS_OF_CHOSEN_ISA(LambdaLoops, kLambdaLoops, lambda_loops)
FRL_LOOPS_OF_CHOSEN_ISA(ListwiseLoops, kListwiseLoops, listwise_loops)
FRL_LOOPS_OF_CHOSEN_ISA(CatalogueLoops, kCatalogueLoops, catalogue_loops)
FRL_LOOPS_OF_CHOSEN_ISA(TripletKernels, kTripletKernels, triplet_kernels)

}  // namespace fused_rankloss::cpu
