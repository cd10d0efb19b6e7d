// SPDX-License-Identifier: BSD-3-Clause
//
// The logistic pair loss of fp32 scores, with the transcendental part in fp32 arithmetic: about 35
// instructions per pair. Many GPUs have 64 fp32 units per fp64 unit.
//
// With a = |s_i - s_j| in fp32, and x = sigma a as in logistic.h,
//
//   x / ln 2 = y + rest            y = fl(a high), sigma / ln 2 = high + low
//   exp(-x)  = 2^n m               n the integer next to -y, m = 2^(-y - n - rest), |.| <= 1/2
//   ln(1+u)  = 2^n (m - m u Q(u))  Q(u) = (u - ln(1 + u)) / u^2, between 0.30 and 0.5
//
// Numerics     Besides a, which is rounded once, m is off by less than 1.6 units of 2^-24, the
//              value by 3.2 and the slope by 4.6, or 3.8 for x below 0.7. Results are fp64 numbers
//              with the precision of fp32. 2^n goes into their exponent, so that a pair's loss of
//              1e-200 is as exact as one of 1. x is added in fp64, so that it does not overflow.
//              Exponentials are at least 2^-1021. `sigma` is clamped to 3e-36 .. 1e37.
// Non-finite   An infinite gap has loss 0 or infinity, and slope 0 or 1, up to 2^-1021.
#pragma once

#include <cmath>

#include "common/ordered.h"
#include "common/rounding.h"
#include "losses/lambda_terms.h"
#include "losses/logistic_series.h"

namespace fused_rankloss {

struct FloatLogistic {
  FRL_HD static LambdaTerm term(float more, float less, const LambdaTermArgs& args) {
    // Depends on the call, not on the pair: compilers hoist it out of the loop.
    const double sigma = args.sigma < 3e-36 ? 3e-36 : (args.sigma > 1e37 ? 1e37 : args.sigma);
    const double unit = sigma * 0x1.71547652b82fep0;
    const float high = static_cast<float>(unit);
    const float low = static_cast<float>(unit - high);
    const float farthest = 1021.0f / high;

    const float gap = more - less;
    const float distance = fminf(fabsf(gap), farthest);
    const float y = rounded_product(distance, high);
    const float rest = fmaf(distance, low, fmaf(distance, high, -y));
    // Adding it leaves the nearest integer in the last bits of the sum.
    constexpr float kRound = 0x1.8p23f;
    const float shifted = kRound - y;
    const float n = shifted - kRound;
    const float fraction = (-y - n) - rest;
    const int exponent = bit_cast<int32_t>(shifted) - bit_cast<int32_t>(kRound);

    float growth = FloatSeries::exp2_growth(FloatSeries::kGrowthTerms - 1);
    FRL_UNROLL(8)
    for (int k = FloatSeries::kGrowthTerms - 2; k >= 0; --k) {
      growth = fmaf(growth, fraction, FloatSeries::exp2_growth(k));
    }
    const float m = fmaf(growth, fraction, 1.0f);
    // If u is below the normal fp32 range, it is negligible beside 1.
    const float u =
        exponent > -126 ? bit_cast<float>(bit_cast<int32_t>(m) + exponent * (1 << 23)) : 0.0f;
    float excess = FloatSeries::softplus_excess(FloatSeries::kExcessTerms - 1);
    FRL_UNROLL(16)
    for (int k = FloatSeries::kExcessTerms - 2; k >= 0; --k) {
      excess = fmaf(excess, u, FloatSeries::softplus_excess(k));
    }
    const float softplus = fmaf(-(m * u), excess, m);
    const float share = reciprocal(1.0f + u);
    const bool violated = gap < 0;
    return {
        widen(softplus, exponent) + (violated ? args.sigma * fabs(static_cast<double>(gap)) : 0),
        violated ? widen(share, 0) : widen(m * share, exponent)};
  }

 private:
  // For numbers from 1 to 2, to about half a unit in the last place.
  FRL_HD static float reciprocal(float value) {
#ifdef __CUDA_ARCH__
    const float guess = __fdividef(1.0f, value);
    return fmaf(guess, fmaf(-value, guess, 1.0f), guess);
#else
    return 1.0f / value;
#endif
  }

  // value 2^exponent, for positive numbers whose exponents stay within fp64's. Three integer
  // instructions; a conversion and a product would take eight and two.
  FRL_HD static double widen(float value, int exponent) {
    const uint64_t bits = static_cast<uint64_t>(bit_cast<uint32_t>(value)) << 29;
    return bit_cast<double>(bits + (static_cast<uint64_t>(int64_t{exponent} + 896) << 52));
  }
};

}  // namespace fused_rankloss
