// SPDX-License-Identifier: BSD-3-Clause
//
// The logistic pair loss (RankNet, BPR). With D = s_i - s_j for label_i > label_j and x = sigma
// |D|, u = exp(-x) in (0, 1]:
//
//   D >= 0   value = ln(1 + u)        slope = -d value / d (sigma D) = u / (1 + u)
//   D <  0   value = ln(1 + u) + x    slope = 1 / (1 + u)
//
// Nothing overflows or cancels at any distance. ln(1 + u) is a polynomial in u, which is also what
// makes sums over many pairs fast: u^k = exp(-k x) factors over the two items
// (cpu/lambda/scan.h).
//
// Source: Burges et al., "Learning to rank using gradient descent" (2005).
#pragma once

#include <cmath>

#include "common/exponential.h"
#include "losses/lambda_terms.h"
#include "losses/logistic_series.h"

namespace fused_rankloss {

template <typename SeriesType, int kExpDegree>
struct Logistic {
  using Series = SeriesType;

  FRL_HD static double exponential(double x) { return exp_of_negative<kExpDegree>(x); }

  FRL_HD static LambdaTerm term(double more, double less, const LambdaTermArgs& args) {
    const double scaled = args.sigma * (more - less);
    const double x = fabs(scaled);
    const double u = exponential(x);
    double sum = Series::softplus(Series::kTerms - 1);
    // Unrolled, or no loop over pairs becomes vector instructions.
    FRL_UNROLL(32)
    for (int k = Series::kTerms - 2; k >= 0; --k) sum = sum * u + Series::softplus(k);
    const bool violated = scaled < 0;
    return {sum * u + (violated ? x : 0.0), (violated ? 1.0 : u) / (1 + u)};
  }
};

// Relative errors below 1e-9, for scores of up to fp32, and of a few roundings.
using NarrowLogistic = Logistic<NarrowSeries, 8>;
using WideLogistic = Logistic<WideSeries, 13>;

}  // namespace fused_rankloss
