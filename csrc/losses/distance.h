// SPDX-License-Identifier: BSD-3-Clause
//
// The distances between two rows x and y of D numbers.
//
//   squared Euclidean   sq(x, y) = sum_d (x_d - y_d)^2
//   Euclidean           sqrt(sq(x, y))
//   cosine              1 - cos(x, y) = sum_d (xh_d - yh_d)^2 / 2,   xh = x / |x|; 1 for a zero row
//
// Each has one canonical value, the same bits on every device. It defines which pair of a batch is
// the hardest, how ties break, and the distance of a mined pair. A search may use any precision, as
// long as its close decisions are made here.
//
// Numerics: every operation is in fp64, which holds stored numbers of all dtypes exactly, and is
// rounded separately (never fused), in this order: lane l of 32 adds the terms d = l, l + 32, ...
// to 0, and the lanes are added by a tree, l + 16, l + 8, ..., l + 1. This is the order of a warp,
// and vector instructions of any width can follow it too. Differences are always taken directly:
// |x|^2 + |y|^2 - 2 xy cancels if points are close.
#pragma once

#include <cmath>

#include "common/half.h"

namespace fused_rankloss {

enum class Distance : int32_t { kEuclidean, kSquaredEuclidean, kCosine };

// fp64 operations without FMA contraction, each rounded separately.
namespace exact {

#ifdef __CUDA_ARCH__
FRL_HD double add(double a, double b) { return __dadd_rn(a, b); }
FRL_HD double sub(double a, double b) { return __dsub_rn(a, b); }
FRL_HD double mul(double a, double b) { return __dmul_rn(a, b); }
FRL_HD double div(double a, double b) { return __ddiv_rn(a, b); }
FRL_HD double sqrt(double a) { return __dsqrt_rn(a); }
#else  // host code is compiled without contraction
FRL_HD double add(double a, double b) { return a + b; }
FRL_HD double sub(double a, double b) { return a - b; }
FRL_HD double mul(double a, double b) { return a * b; }
FRL_HD double div(double a, double b) { return a / b; }
FRL_HD double sqrt(double a) { return std::sqrt(a); }
#endif

}  // namespace exact

inline constexpr int kSumLanes = 32;

// The exact value of a stored number.
template <typename Stored>
FRL_HD double to_real(Stored value) {
  return static_cast<double>(to_compute(value));
}

// The terms of the canonical sums; `x_inverse` is inverse_norm() of the row x.
FRL_HD double square_term(double x) { return exact::mul(x, x); }
FRL_HD double difference_term(double x, double y) { return square_term(exact::sub(x, y)); }
FRL_HD double direction_term(double x, double x_inverse, double y, double y_inverse) {
  return difference_term(exact::mul(x, x_inverse), exact::mul(y, y_inverse));
}

// The canonical sum of term(0) .. term(size - 1) by one thread. By a warp: lane l starts with 0,
// adds its terms with exact::add, then acc = exact::add(acc, acc of lane l + s) for s = 16, 8, 4,
// 2, 1.
template <typename Term>
FRL_HD double canonical_sum(int64_t size, const Term& term) {
  double lanes[kSumLanes] = {};
  for (int64_t d = 0; d < size; ++d) {
    double& lane = lanes[d % kSumLanes];
    lane = exact::add(lane, term(d));
  }
  for (int step = kSumLanes / 2; step > 0; step /= 2) {
    for (int l = 0; l < step; ++l) lanes[l] = exact::add(lanes[l], lanes[l + step]);
  }
  return lanes[0];
}

// 1 / |x| from the canonical sum of squares; 0 for a zero row, NaN if the sum is not finite.
FRL_HD double inverse_norm(double sum_of_squares) {
  if (sum_of_squares == 0) return 0;
  return exact::div(sum_of_squares - sum_of_squares + 1, exact::sqrt(sum_of_squares));
}

// Pairs are ordered by a key: the canonical sum of difference_term or, for cosine, of
// direction_term; for cosine, a zero row makes it 2. Keys have the order of the distances, except
// that pairs whose distances only the square root makes equal are not tied. A NaN is harder than
// all numbers.
FRL_HD double pair_key(Distance distance, double sum, double x_inverse = 1, double y_inverse = 1) {
  if (distance != Distance::kCosine || (x_inverse != 0 && y_inverse != 0)) return sum;
  return sum == sum ? 2.0 : sum;
}

FRL_HD double distance_of_key(Distance distance, double key) {
  switch (distance) {
    case Distance::kEuclidean:
      return exact::sqrt(key);
    case Distance::kSquaredEuclidean:
      return key;
    default:
      return exact::mul(0.5, key);
  }
}

// The derivative of a distance with respect to one element of x is
//
//   Euclidean            factor * (x - y)               factor = 1 / distance, 0 at distance 0
//   squared Euclidean    factor * (x - y)               factor = 2
//   cosine               factor * (xh - yh - distance * xh)        factor = 1 / |x|
//
// Exchange x and y for the other side. Results differ in the last bits between devices.
FRL_HD double gradient_factor(Distance distance, double value, double x_inverse = 1) {
  switch (distance) {
    case Distance::kEuclidean:
      return value == 0 ? 0.0 : 1 / value;
    case Distance::kSquaredEuclidean:
      return 2;
    default:
      return x_inverse;
  }
}

// The number that `factor` multiplies.
FRL_HD double gradient_direction(Distance distance, double value, double x, double y,
                                 double x_inverse = 1, double y_inverse = 1) {
  if (distance != Distance::kCosine) return x - y;
  // Both products are rounded separately, so that equal numbers have a difference of 0.
  const double x_unit = exact::mul(x, x_inverse), y_unit = exact::mul(y, y_inverse);
  return x_unit - y_unit - value * x_unit;
}

}  // namespace fused_rankloss
