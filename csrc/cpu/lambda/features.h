// SPDX-License-Identifier: BSD-3-Clause
//
// The features of losses/lambda_features.h, of the items of a problem.
#pragma once

#include "cpu/lambda/problem.h"
#include "losses/lambda_features.h"

namespace fused_rankloss::cpu::lambda {

inline double item_weight(const LambdaProblem& problem, bool is_more, int64_t rank) {
  return (is_more ? problem.more_weight : problem.less_weight)[rank];
}

template <int kFeatures>
struct ScanFeatures {
  static constexpr int kCount = kFeatures;

  static void push(const LambdaProblem& problem, bool is_more, int64_t rank, double factor,
                   double* out) {
    const double weight = factor * item_weight(problem, is_more, rank);
    const double gain = kCount > 1 ? problem.gain[rank] : 0;
    const double discount = kCount > 2 ? problem.discount[rank] : 0;
    for (int f = 0; f < kCount; ++f) out[f] = pushed_feature(f, weight, gain, discount);
  }
  static void query(const LambdaProblem& problem, bool is_more, int64_t rank, double* out) {
    const double weight = item_weight(problem, is_more, rank);
    const double gain = kCount > 1 ? problem.gain[rank] : 0;
    const double discount = kCount > 2 ? problem.discount[rank] : 0;
    for (int f = 0; f < kCount; ++f) {
      out[f] = queried_feature(kCount, f, is_more, weight, gain, discount);
    }
  }
};

template <typename Body>
auto dispatch_features(WeightLoop weight, Body&& body) {
  switch (weight) {
    case WeightLoop::kGain:
      return body(ScanFeatures<2>{});
    case WeightLoop::kDeltaNdcg:
      return body(ScanFeatures<4>{});
    default:
      return body(ScanFeatures<1>{});
  }
}

}  // namespace fused_rankloss::cpu::lambda
