// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/labels.h"
#include "common/lists.h"
#include "common/weights.h"

namespace fused_rankloss {

// The inputs of every loss over lists. Arrays are contiguous; N is the number of slots.
struct ListInputs {
  Lists lists;
  const void* scores = nullptr;  // [N] of `score_type`
  ScoreType score_type{};
  const void* labels = nullptr;  // [N] of `label_type`
  LabelType label_type{};
  const void* weights = nullptr;         // [N] fp32, fp64 for fp64 scores; null without weights
  const double* list_weights = nullptr;  // [B]; null: all are 1
  bool preferred = false;  // a pair's weight is that of its more relevant item, else the product

  FRL_HD double list_weight(int64_t list) const { return list_weights ? list_weights[list] : 1; }
};

}  // namespace fused_rankloss
