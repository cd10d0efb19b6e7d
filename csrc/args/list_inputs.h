// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/labels.h"
#include "common/lists.h"

namespace fused_rankloss {

// Weights are finite and not negative. Any other makes its list NaN, whether or not the item is in
// a pair.
FRL_HD bool is_weight(double weight) { return weight >= 0 && weight - weight == 0; }

// What every loss over lists reads. Arrays are contiguous; N is the number of slots.
struct ListInputs {
  Lists lists;
  const void* scores = nullptr;  // [N] of `score_type`
  ScoreType score_type{};
  const void* labels = nullptr;  // [N] of `label_type`
  LabelType label_type{};
  const void* weights = nullptr;  // [N] fp32, fp64 for fp64 scores; null without weights
  bool preferred = false;  // a pair's weight is that of its more relevant item, else the product
};

}  // namespace fused_rankloss
