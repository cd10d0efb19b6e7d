// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <limits>

#include "common/rounding.h"

namespace fused_rankloss {

// Constants, since device code must not call the constexpr functions of the host's library.
template <typename Real>
inline constexpr Real kNan = std::numeric_limits<Real>::quiet_NaN();
template <typename Real>
inline constexpr Real kInfinity = std::numeric_limits<Real>::infinity();

template <typename Real>
FRL_HD bool is_finite(Real value) {
  return value - value == 0;
}

// A sum in fp64 that also carries its rounding errors (Neumaier's variant of Kahan summation). Its
// error is of the order eps^2 sum |terms|, so that large terms may cancel and leave correct digits.
//
// Every sum and product is rounded separately (common/rounding.h): with FMA contraction, the errors
// computed here would be those of another expression.
struct CompensatedSum {
  double high = 0;
  double low = 0;

  FRL_HD void add(double term) {
    const double sum = rounded_sum(high, term);
    if (is_finite(sum)) {
      const double seen = rounded_sum(sum, -high);  // the part of `term` that arrived in `sum`
      const double error =
          rounded_sum(rounded_sum(high, -rounded_sum(sum, -seen)), rounded_sum(term, -seen));
      low = rounded_sum(low, error);
    }
    high = sum;
  }

  FRL_HD void add_product(double a, double b) {
    const double product = rounded_product(a, b);
    add(product);
    if (is_finite(product)) low = rounded_sum(low, fused_product_sum(a, b, -product));
  }

  FRL_HD void add(const CompensatedSum& other) {
    add(other.high);
    low = rounded_sum(low, other.low);
  }

  FRL_HD double total() const { return rounded_sum(high, low); }
};

}  // namespace fused_rankloss
