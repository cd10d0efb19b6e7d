// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "common/ordered.h"

namespace fused_rankloss {

// log(x) of a positive normal x without a branch or a call, so that loops over it vectorise:
// x = 2^k m with m in [sqrt(1/2), sqrt(2)), and with s = (m - 1) / (m + 1) the first terms of
// log(m) = 2 (s + s^3 / 3 + s^5 / 5 + ...), where s^2 < 0.0295. Its relative error, also near
// x = 1, is below 6e-11 for 6 terms and below 3e-17, besides a few roundings, for 10.
template <int kTerms>
FRL_HD double log_of_positive(double x) {
  constexpr double kOddReciprocals[] = {1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,
                                        1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19};
  constexpr uint64_t kRootOfHalf = 0x3fe6a09e667f3bcdull, kBias = 1024;
  const uint64_t bits = bit_cast<uint64_t>(x);
  // k + kBias, which is positive: some instruction sets cannot shift or convert signed integers.
  const uint64_t exponent = (bits - kRootOfHalf + (kBias << 52)) >> 52;
  const double k = bit_cast<double>(exponent | 0x4330000000000000ull) - (0x1p52 + kBias);
  const double f = bit_cast<double>(bits - (exponent << 52) + (kBias << 52)) - 1;
  const double s = f / (2 + f), square = s * s;
  double sum = kOddReciprocals[kTerms - 1];
  FRL_UNROLL(16)
  for (int t = kTerms - 2; t > 0; --t) sum = sum * square + kOddReciprocals[t];
  const double log_m = 2 * s + 2 * s * square * sum;
  return k * 0x1.62e42fefa0000p-1 + (k * 0x1.cf79abc9e3b3ap-40 + log_m);
}

}  // namespace fused_rankloss
