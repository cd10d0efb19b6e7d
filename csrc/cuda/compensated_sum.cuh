// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <limits>

#include "common/platform.h"

namespace fused_rankloss {

// Constants, since device code may not call the constexpr functions of the host's library.
template <typename Real>
inline constexpr Real kNan = std::numeric_limits<Real>::quiet_NaN();

template <typename Real>
FRL_HD bool is_finite(Real value) {
  return value - value == 0;
}

// A sum in fp64 that also carries its rounding errors (Neumaier's variant of Kahan summation): its
// error is of the order eps^2 sum |terms|, so that large terms may cancel and leave correct digits.
//
// The _rn intrinsics keep the compiler from contracting a product and a sum into one rounding,
// which would make the errors computed here those of another expression.
struct CompensatedSum {
  double high = 0;
  double low = 0;

  __device__ __forceinline__ void add(double term) {
    const double sum = __dadd_rn(high, term);
    if (is_finite(sum)) {
      const double seen = __dsub_rn(sum, high);  // the part of `term` that arrived in `sum`
      const double error = __dadd_rn(__dsub_rn(high, __dsub_rn(sum, seen)), __dsub_rn(term, seen));
      low = __dadd_rn(low, error);
    }
    high = sum;
  }

  __device__ __forceinline__ void add_product(double a, double b) {
    const double product = __dmul_rn(a, b);
    add(product);
    if (is_finite(product)) low = __dadd_rn(low, __fma_rn(a, b, -product));
  }

  __device__ __forceinline__ void add(const CompensatedSum& other) {
    add(other.high);
    low = __dadd_rn(low, other.low);
  }

  __device__ __forceinline__ double total() const { return __dadd_rn(high, low); }
};

}  // namespace fused_rankloss
