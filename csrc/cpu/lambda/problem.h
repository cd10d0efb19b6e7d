// SPDX-License-Identifier: BSD-3-Clause
//
// The pairs of one list as both engines take them: direct.h enumerates all pairs, scan.h sums those
// whose weights factor.
#pragma once

#include "args/lambda.h"
#include "cpu/simd/lambda_loops.h"

namespace fused_rankloss::cpu::lambda {

// Arrays are indexed by rank, from 0. The problem contains only items that can be in a kept pair.
struct LambdaProblem {
  int64_t size = 0;
  int64_t top = 0;  // at least one of the two ranks of a pair is below
  const double* score = nullptr;
  const double* gain = nullptr;         // divided by the maximal DCG; the label for arp
  const double* discount = nullptr;     // 0 if the weight has none
  const double* more_weight = nullptr;  // as the more relevant item
  const double* less_weight = nullptr;
  double* grad = nullptr;  // accumulates d list_sum / d score, over sigma for the logistic loss

  const int32_t* grade = nullptr;
  const int32_t* by_grade = nullptr;      // ranks in ascending order of grade, then of rank
  const int32_t* grade_starts = nullptr;  // [num_grades + 1], in by_grade
  int64_t num_grades = 0;
  bool all_pairs = false;  // for any labels, and also each item with itself

  LossLoop loss{};
  WeightLoop weight{};
  bool normalized = false;  // weights are divided by 0.01 + |D|
  const double* delta = nullptr;
  LambdaTermArgs term{};
};

}  // namespace fused_rankloss::cpu::lambda
