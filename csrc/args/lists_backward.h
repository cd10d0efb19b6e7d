// SPDX-License-Identifier: BSD-3-Clause
//
// The backward pass of every loss over lists, defined once:
//
//   grad_scores[t] = list_scale[b] * sum_k grad_loss[k, b] * raw_grad[k, t]
//
// in fp64, rounded once to the dtype of the scores, and exactly 0 in padding and in lists of scale
// 0, whose sums may be infinite.
#pragma once

#include "common/half.h"
#include "common/lists.h"
#include "common/weights.h"

namespace fused_rankloss {

enum class RawGradType : int32_t { kInt32, kInt64, kFloat, kDouble };

// One call without torch; arrays are contiguous. N slots, B lists, K margins.
struct ListsBackwardArgs {
  // inputs
  Lists lists;
  const void* grad_loss = nullptr;     // [K], or [K, B] if per_list; fp32 or fp64
  const void* raw_grad = nullptr;      // [K, N]
  const double* list_scale = nullptr;  // [B]
  int64_t num_margins = 1;
  bool per_list = false;
  bool grad_loss_is_double = false;
  RawGradType raw_type = RawGradType::kFloat;

  // outputs
  void* grad_scores = nullptr;  // [N]

  FRL_HD double grad_output(int64_t k, int64_t list) const {
    const int64_t at = per_list ? k * lists.num_lists + list : k;
    return grad_loss_is_double ? static_cast<const double*>(grad_loss)[at]
                               : static_cast<const float*>(grad_loss)[at];
  }

  template <typename Raw>
  FRL_HD double grad(int64_t slot, int64_t list) const {
    double sum = 0;
    for (int64_t k = 0; k < num_margins; ++k) {
      const Raw raw = static_cast<const Raw*>(raw_grad)[k * lists.num_slots + slot];
      sum += grad_output(k, list) * static_cast<double>(raw);
    }
    return weighted(list_scale[list], sum);
  }
};

// Calls `body` with a value of the type of raw_grad.
template <typename Body>
decltype(auto) dispatch_raw_grad(RawGradType type, Body&& body) {
  switch (type) {
    case RawGradType::kInt32:
      return body(int32_t{});
    case RawGradType::kInt64:
      return body(int64_t{});
    case RawGradType::kFloat:
      return body(float{});
    default:
      return body(double{});
  }
}

}  // namespace fused_rankloss
