// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/labels.h"
#include "common/lists.h"
#include "common/weights.h"

namespace fused_rankloss {

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
