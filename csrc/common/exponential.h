// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "common/ordered.h"

namespace fused_rankloss {

// exp(-x) for x >= 0 without a branch or a call, so that loops over it vectorise: exp(-x) = 2^n
// exp(r) with |r| <= ln(2) / 2, and a Taylor polynomial for exp(r). Its relative error is below
// 3e-10 for degree 8 and below 1e-17, besides a few roundings, for degree 13. For x >= 708, where
// the result leaves the normal range, it stays at 3e-308.
template <int kDegree>
FRL_HD double exp_of_negative(double x) {
  constexpr double kInverseFactorials[] = {1.0,
                                           1.0,
                                           1.0 / 2,
                                           1.0 / 6,
                                           1.0 / 24,
                                           1.0 / 120,
                                           1.0 / 720,
                                           1.0 / 5040,
                                           1.0 / 40320,
                                           1.0 / 362880,
                                           1.0 / 3628800,
                                           1.0 / 39916800,
                                           1.0 / 479001600,
                                           1.0 / 6227020800};
  // Adding it leaves the nearest integer in the last bits of the sum.
  constexpr double kRound = 0x1.8p52;
  const double bounded = x < 708 ? x : 708;
  const double shifted = kRound - bounded * 0x1.71547652b82fep0;
  const double n = shifted - kRound;
  const double r = (-bounded - n * 0x1.62e42fefa0000p-1) - n * 0x1.cf79abc9e3b3ap-40;
  double sum = kInverseFactorials[kDegree];
  FRL_UNROLL(16)
  for (int k = kDegree - 1; k >= 0; --k) sum = sum * r + kInverseFactorials[k];
  return bit_cast<double>(bit_cast<uint64_t>(sum) + (bit_cast<uint64_t>(shifted) << 52));
}

}  // namespace fused_rankloss
