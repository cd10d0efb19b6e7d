// SPDX-License-Identifier: BSD-3-Clause
//
// What the items of a listwise loss are worth. The sums that they need of their lists are made by
// cpu/listwise/listnet.h, cpu/listwise/list_mle.h, cpu/listwise/approx_ndcg.h and
// cuda/listwise/sums.cuh.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/exponential.h"
#include "common/logarithm.h"
#include "common/platform.h"

namespace fused_rankloss {

// ---- ListMLE ---------------------------------------------------------------

// 2^-n, n >= 0.
FRL_HD double power_of_half(int64_t n) {
  if (n > 1022) return exp2(-static_cast<double>(n));
  return bit_cast<double>(static_cast<uint64_t>(1023 - n) << 52);
}

// The weights of the positions of the order by labels, which are counted from 0.
struct PositionWeights {
  const double* given;  // [num_given], 0 beyond; or null
  int64_t num_given;
  bool exponential;

  FRL_HD double at(int64_t position, int64_t size) const {
    if (given != nullptr) return position < num_given ? given[position] : 0;
    if (!exponential) return 1;
    const double last = power_of_half(size);
    return (power_of_half(position + 1) - last) / (1 - (1 + static_cast<double>(size)) * last);
  }
};

// An item of score s in front of others. With their log of the sum of exponentials l' and
// behind = l' - s, adding the item makes l = max(l', s) + tail, without cancellation anywhere.
struct LogSumStep {
  double tail;
  double decay;  // exp(l' - l)
  double share;  // exp(s - l)

  // `small`: exp(-|behind|).
  FRL_HD static LogSumStep of(double behind, double small) {
    const double larger = 1 / (1 + small), smaller = small / (1 + small);
    const bool first = behind < 0;
    return {log1p(small), first ? smaller : larger, first ? larger : smaller};
  }

  // l - s: the term of the loss.
  FRL_HD double term(double behind) const { return (behind > 0 ? behind : 0) + tail; }
};

// The term l - s of such an item from sums of exponentials below a score `distance` above its own:
// `own` is its exponential, `behind` the others' and `sum` both. Small terms are log(1 + behind /
// own), whose rounded argument is made good; the others would be, too, but their exponential may
// have left the range of numbers.
template <int kLogTerms>
FRL_HD double log_sum_term(double distance, double own, double behind, double sum) {
  const double ratio = behind / own, rounded = 1 + ratio;
  const double lost = (ratio - (rounded - 1)) / rounded;
  const bool small = ratio <= 1;
  const double argument = small ? rounded : sum;
  return log_of_positive<kLogTerms>(argument) + (small ? lost : distance);
}

// ---- ApproxNDCG ------------------------------------------------------------

// sigmoid(x) and its derivative.
template <int kExpDegree>
FRL_HD double sigmoid(double x) {
  const double u = exp_of_negative<kExpDegree>(fabs(x));
  return (x < 0 ? u : 1) / (1 + u);
}

template <int kExpDegree>
FRL_HD double sigmoid_slope(double x) {
  const double u = exp_of_negative<kExpDegree>(fabs(x));
  return u / ((1 + u) * (1 + u));
}

// Of an item with a gain, in units of the maximal DCG, at a soft rank.
struct SoftRankTerm {
  double value;
  double slope;  // d value / d rank

  FRL_HD static SoftRankTerm of(double gain, double rank) {
    constexpr double kLn2 = 0x1.62e42fefa39efp-1;
    const double log_rank = log2(1 + rank);
    return {-gain / log_rank, gain / (log_rank * log_rank * (1 + rank) * kLn2)};
  }
};

}  // namespace fused_rankloss
