// SPDX-License-Identifier: BSD-3-Clause
//
// Shared by short and long lists of lambda losses: the conditions that poison a list, and the
// arguments of the reduction.
#pragma once

#include "args/lambda.h"
#include "cuda/lists/gain_checks.cuh"
#include "cuda/lists/load_items.cuh"
#include "cuda/lists/reduce.cuh"

namespace fused_rankloss::cuda::lambda {

// The effect of a single item on its list.
struct LambdaPoison {
  bool loss = false;  // poisons the list: a NaN, an invalid weight, or an infinite gain in use
  bool ndcg = false;  // makes only the NDCG statistic NaN
};

template <typename Real>
__device__ __forceinline__ LambdaPoison lambda_poison(const LambdaArgs& args, int64_t slot) {
  const Real score = load_score<Real>(args, slot);
  const int64_t key = label_key_at(args.labels, args.label_type, slot);
  const double label = label_value(key, args.label_type);
  const bool finite_gain = gain_is_finite(args, slot, label);
  LambdaPoison poison;
  poison.loss = score != score || !is_weight(load_weight<Real>(args, slot)) ||
                is_nan_label(key, args.label_type) || (args.weighs_gains() && !finite_gain) ||
                (args.scheme == Scheme::kArp && !is_finite(label));
  poison.ndcg = args.statistics != nullptr && !finite_gain;
  return poison;
}

// `weight_exponents`: see PairwiseArgs.
FRL_HD PairwiseArgs reduction_args(const LambdaArgs& args, const uint32_t* weight_exponents) {
  PairwiseArgs reduced = cuda::reduction_args(args);
  reduced.weight_exponents = weight_exponents;
  reduced.statistics = args.statistics;
  return reduced;
}

}  // namespace fused_rankloss::cuda::lambda
