// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "args/list_inputs.h"
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
  FRL_HD double slope_scale() const { return pair_loss == PairLoss::kLogistic ? sigma : 1; }

  // Pairs are all (i, j), i = j included, and not those with label_i > label_j.
  FRL_HD bool all_pairs() const { return scheme == Scheme::kNdcgLoss1; }

  // Gains over the maximal DCG enter the weights of pairs.
  FRL_HD bool weighs_gains() const { return scheme != Scheme::kNone && scheme != Scheme::kArp; }

  // Ranks are numbered from 0 here.
  FRL_HD int64_t top(int64_t size) const { return k > 0 && k < size ? k : size; }

  // Both ranks of a pair must lie in the top.
  FRL_HD bool both() const { return truncation == Truncation::kBoth; }

  FRL_HD double discount(int64_t rank) const {
    if (discounts == nullptr) return log2_discount(rank + 1);
    return rank < num_discounts ? discounts[rank] : 0;
  }

  // Whether it enters |d_i - d_j| as it is, and not as 0. ndcg_loss2 is ndcg_loss2++ without that
  // part, and with mu = 1.
  FRL_HD bool weighs_discount(int64_t rank) const {
    const bool cut = truncation == Truncation::kDiscount && k > 0 && rank >= k;
    return !cut && scheme != Scheme::kNdcgLoss2;
  }

  // Times |d(t) - d(t + 1)|, what a distance t of two ranks weighs.
  FRL_HD double delta_factor() const { return scheme == Scheme::kNdcgLoss2pp ? mu : 1; }
};

}  // namespace fused_rankloss
