// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers of twice fp32's precision, for GPUs whose fp64 units are few.
//
//   x = high + low,   |low| <= ulp(high) / 2                                                  (1)
//
// Two fp32 operations and their rounding errors, which are fp32 numbers themselves:
//
//   a + b = s + e    s = fl(a + b), e by Knuth's TwoSum, or Dekker's FastTwoSum for |a| >= |b|
//   a * b = p + e    p = fl(a * b), e = fma(a, b, -p)
//
// Numerics     With u = 2^-24, a sum of two numbers of one sign, or of any number and an fp32
//              number, is off by less than 3 u^2 of itself, and a product by less than 5 u^2
//              (Joldes, Muller, Popescu, "Tight and rigorous error bounds for basic building blocks
//              of double-word arithmetic", 2017). The sign of x is that of `high`. The range is
//              fp32's: products below 2^-101 lose digits, as fp32 numbers below 2^-126 do.
// Non-finite   `high` is what fp32 would have computed. `low` is then any number, NaN included:
//              normalize() drops a NaN before it reaches `high`.
#pragma once

#include "common/compensated_sum.h"
#include "common/rounding.h"

namespace fused_rankloss {

// What rounding took from sum = fl(a + b).
FRL_HD float sum_error(float a, float b, float sum) {
  const float seen = sum - a;  // the part of b that arrived in the sum
  return (a - (sum - seen)) + (b - seen);
}

struct TwoFloat {
  float high = 0;
  float low = 0;

  TwoFloat() = default;
  FRL_HD explicit TwoFloat(float value) : high(value) {}
  FRL_HD TwoFloat(float high, float low) : high(high), low(low) {}

  // |low| may be as large as |high|, and NaN beside an infinite `high`: fmaxf of a NaN and a number
  // is the number, which infinity swallows.
  FRL_HD static TwoFloat normalize(float high, float low) {
    const float rest = fmaxf(low, -kLargest);
    const float sum = high + rest;
    return {sum, rest - (sum - high)};
  }

  // Rounds the last 5 bits of an fp64 number away, but never to an fp32 number: what compares with
  // one as `value` did goes on doing so. (Below 2^-125, where fp32 numbers are as close together as
  // they get, a value may still become its neighbour.)
  FRL_HD static TwoFloat round(double value) {
    const float high = static_cast<float>(value);
    const double rest = value - high;
    float low = static_cast<float>(rest);
    if (low == 0 && rest != 0) low = rest > 0 ? kSmallest : -kSmallest;
    return {high, low};
  }

  FRL_HD double to_double() const {
    return is_finite(high) ? static_cast<double>(high) + low : static_cast<double>(high);
  }

 private:
  static constexpr float kLargest = 0x1.fffffep127f;
  static constexpr float kSmallest = 0x1p-149f;
};

FRL_HD TwoFloat operator+(TwoFloat a, float b) {
  const float sum = a.high + b;
  return TwoFloat::normalize(sum, sum_error(a.high, b, sum) + a.low);
}

FRL_HD TwoFloat operator+(TwoFloat a, TwoFloat b) {
  const float sum = a.high + b.high;
  return TwoFloat::normalize(sum, sum_error(a.high, b.high, sum) + (a.low + b.low));
}

FRL_HD TwoFloat operator-(TwoFloat a, float b) { return a + -b; }

FRL_HD TwoFloat operator*(float a, TwoFloat b) {
  const float product = rounded_product(a, b.high);
  return TwoFloat::normalize(product, fmaf(a, b.low, fmaf(a, b.high, -product)));
}

FRL_HD TwoFloat operator*(TwoFloat a, TwoFloat b) {
  const float product = rounded_product(a.high, b.high);
  const float error = fmaf(a.high, b.high, -product);
  return TwoFloat::normalize(product, fmaf(a.high, b.low, fmaf(a.low, b.high, error)));
}

FRL_HD TwoFloat& operator+=(TwoFloat& sum, float term) { return sum = sum + term; }
FRL_HD TwoFloat& operator+=(TwoFloat& sum, TwoFloat term) { return sum = sum + term; }

FRL_HD bool operator>(TwoFloat a, float b) { return a.high > b || (a.high == b && a.low > 0); }
FRL_HD bool operator==(TwoFloat a, float b) { return a.high == b && a.low == 0; }

FRL_HD double to_double(double value) { return value; }
FRL_HD double to_double(TwoFloat value) { return value.to_double(); }

template <typename Number>
FRL_HD Number round_number(double value) {
  if constexpr (std::is_same_v<Number, TwoFloat>) {
    return TwoFloat::round(value);
  } else {
    return value;
  }
}

}  // namespace fused_rankloss
