// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "args/list_inputs.h"
#include "common/reduction.h"
#include "losses/gains.h"

namespace fused_rankloss {

enum class ListwiseLoss : int32_t { kListNet, kListMle, kApproxNdcg };

// One call of `listwise_forward` without torch. Every array is contiguous. N is the number of
// slots, B of lists, R of position weights.
struct ListwiseArgs : ListInputs {
  // inputs
  ListwiseLoss loss_kind{};
  bool exponential_positions = false;        // of list_mle; `position_weights` override it
  const double* position_weights = nullptr;  // [R] or null
  int64_t num_position_weights = 0;          // R
  double temperature = 1;                    // of approx_ndcg
  Gain gain{};
  const double* gains = nullptr;  // [N] or null: gain(labels)
  Reduction reduction = Reduction::kMean;

  // outputs
  void* loss = nullptr;          // [] or [B] for kNone; fp32, fp64 for fp64 scores
  void* raw_grad = nullptr;      // [N] as the loss; null when no gradient is wanted
  double* list_scale = nullptr;  // [B]
};

}  // namespace fused_rankloss
