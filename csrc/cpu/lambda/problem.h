// SPDX-License-Identifier: BSD-3-Clause
//
// The pairs of one list as both engines take them: direct.h compares all pairs, and
// scan.h adds up those whose weights factor.
#pragma once

#include "args/lambda.h"
#include "cpu/simd/lambda_loops.h"

namespace fused_rankloss::cpu::lambda {

// Arrays are indexed by rank, from 0. An item is only here if it can be in a pair that is kept.
struct LambdaProblem {
  int64_t size = 0;
  int64_t top = 0;  // of the two ranks of a pair, at least one lies below
  const double* score = nullptr;
  const double* gain = nullptr;         // over the maximal DCG; the label for arp
  const double* discount = nullptr;     // 0 where the weight has none
  const double* more_weight = nullptr;  // in the role of the more relevant item
  const double* less_weight = nullptr;
  double* grad = nullptr;  // d list_sum / d score, over sigma for the logistic loss; added to

  const int32_t* level = nullptr;
  const int32_t* by_level = nullptr;      // ranks in ascending order of level, then of rank
  const int32_t* level_starts = nullptr;  // [num_levels + 1], in by_level
  int64_t num_levels = 0;
  bool all_pairs = false;  // whatever the labels, an item with itself too

  LossLoop loss{};
  WeightLoop weight{};
  bool normalized = false;  // weights over 0.01 + |D|
  const double* delta = nullptr;
  LambdaTermArgs term{};
};

}  // namespace fused_rankloss::cpu::lambda
