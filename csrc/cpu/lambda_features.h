// SPDX-License-Identifier: BSD-3-Clause
//
// Pair weights as sums of products: what an item pushes for those that see it later, and what it
// multiplies what it sees with. With i the more and j the less relevant item:
//
//   none, ndcg_loss1   w_i w_j
//   arp                w_i w_j (y_i - y_j)
//   lambdarank         w_i w_j (g_i - g_j)(d_i - d_j)
#pragma once

#include "cpu/lambda_problem.h"

namespace fused_rankloss::cpu {

inline double item_weight(const LambdaProblem& problem, bool is_more, int64_t rank) {
  return (is_more ? problem.more_weight : problem.less_weight)[rank];
}

struct UnitFeatures {
  static constexpr int kCount = 1;

  static void push(const LambdaProblem& problem, bool is_more, int64_t rank, double factor,
                   double* out) {
    out[0] = factor * item_weight(problem, is_more, rank);
  }
  static void query(const LambdaProblem& problem, bool is_more, int64_t rank, double* out) {
    out[0] = item_weight(problem, is_more, rank);
  }
};

struct GainFeatures {
  static constexpr int kCount = 2;

  static void push(const LambdaProblem& problem, bool is_more, int64_t rank, double factor,
                   double* out) {
    const double weight = factor * item_weight(problem, is_more, rank);
    out[0] = weight;
    out[1] = weight * problem.gain[rank];
  }
  static void query(const LambdaProblem& problem, bool is_more, int64_t rank, double* out) {
    const double weight = item_weight(problem, is_more, rank) * (is_more ? 1 : -1);
    out[0] = weight * problem.gain[rank];
    out[1] = -weight;
  }
};

struct DeltaNdcgFeatures {
  static constexpr int kCount = 4;

  static void push(const LambdaProblem& problem, bool is_more, int64_t rank, double factor,
                   double* out) {
    const double weight = factor * item_weight(problem, is_more, rank);
    const double gain = problem.gain[rank], discount = problem.discount[rank];
    out[0] = weight;
    out[1] = weight * gain;
    out[2] = weight * discount;
    out[3] = weight * gain * discount;
  }
  static void query(const LambdaProblem& problem, bool is_more, int64_t rank, double* out) {
    const double weight = item_weight(problem, is_more, rank);
    const double gain = problem.gain[rank], discount = problem.discount[rank];
    out[0] = weight * gain * discount;
    out[1] = -weight * discount;
    out[2] = -weight * gain;
    out[3] = weight;
  }
};

template <typename Body>
auto dispatch_features(WeightLoop weight, Body&& body) {
  switch (weight) {
    case WeightLoop::kGain:
      return body(GainFeatures{});
    case WeightLoop::kDeltaNdcg:
      return body(DeltaNdcgFeatures{});
    default:
      return body(UnitFeatures{});
  }
}

}  // namespace fused_rankloss::cpu
