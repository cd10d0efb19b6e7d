// SPDX-License-Identifier: BSD-3-Clause
//
// How a tensor core adds: addends are cut off below 24 bits of the largest one, then summed
// exactly. PTX leaves the order and the precision open; this is the model that measurements of GPUs
// suggest.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace ptx {

inline float tensor_core_sum(const double* terms, int count) {
  const auto exponent = [](double value) {
    return static_cast<int>(std::bit_cast<uint64_t>(value) >> 52 & 0x7ff);
  };
  int top = 0;
  for (int k = 0; k < count; ++k) top = std::max(top, exponent(terms[k]));
  if (top == 0) return 0;
  if (top == 0x7ff) {  // an infinity or NaN
    double sum = 0;
    for (int k = 0; k < count; ++k) sum += terms[k];
    return static_cast<float>(sum);
  }
  int64_t sum = 0;
  for (int k = 0; k < count; ++k) {
    sum += static_cast<int64_t>(std::ldexp(terms[k], 23 - (top - 1023)));
  }
  const double exact = std::ldexp(static_cast<double>(sum), top - 1023 - 23);
  const float rounded = static_cast<float>(exact);
  const bool too_large = std::fabs(static_cast<double>(rounded)) > std::fabs(exact);
  return too_large ? std::nextafterf(rounded, 0.0f) : rounded;  // toward zero
}

}  // namespace ptx
