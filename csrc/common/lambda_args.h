// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/list_inputs.h"
#include "common/reduction.h"
#include "losses/gains.h"
#include "losses/lambda_weights.h"

namespace fused_rankloss {

enum class PairLoss : int32_t { kLogistic, kHinge, kSquaredHinge };

// One call of `lambda_forward` without torch: what the kernels of both sides read and write.
// Every array is contiguous. N is the number of slots, B of lists, R of discounts.
struct LambdaArgs : ListInputs {
  // inputs
  Scheme scheme{};
  PairLoss pair_loss{};
  double sigma = 1;   // of the logistic loss
  double margin = 1;  // of the others
  double scale = 1;   // multiplies value and gradient
  double mu = 10;     // of ndcg_loss2++
  Gain gain{};
  const double* gains = nullptr;      // [N] or null: gain(labels)
  const double* discounts = nullptr;  // [R] or null: 1 / log2(1 + rank)
  int64_t num_discounts = 0;          // R
  int64_t k = 0;                      // 0: no truncation
  Truncation truncation{};
  bool score_normalization = false;
  bool list_normalization = false;
  Reduction reduction = Reduction::kMean;

  // outputs
  void* loss = nullptr;          // [] or [B] for kNone; fp32, fp64 for fp64 scores
  void* raw_grad = nullptr;      // [N] as the loss; null when no gradient is wanted
  double* list_scale = nullptr;  // [B]
  double* statistics = nullptr;  // [B, 3]: pairs, correctly ordered ones, NDCG@k; null: not wanted

  // d list_sum / d D of a pair is this times Loss::slope.
  double slope_scale() const { return pair_loss == PairLoss::kLogistic ? sigma : 1; }
};

}  // namespace fused_rankloss
