// SPDX-License-Identifier: BSD-3-Clause
//
// The results that losses without margins share.
#pragma once

#include <vector>

#include "bind/list_inputs.h"
#include "losses/gains.h"

namespace fused_rankloss {

inline constexpr Named<Gain> kGains[] = {{"exponential", Gain::kExponential},
                                         {"linear", Gain::kLinear}};

struct ListResults {
  ListResults(const ListInputTensors& inputs, const Tensor& scores, Reduction reduction,
              bool needs_grad)
      : loss(new_tensor(scores, loss_shape(inputs, reduction), inputs.real)),
        raw_grad(new_tensor(scores, grad_shape(scores, needs_grad), inputs.real)),
        list_scale(new_tensor(scores, {inputs.inputs.lists.num_lists}, ScalarType::Double)) {}

  Tensor loss;        // [], or [B] with reduction "none"
  Tensor raw_grad;    // [1, *scores], or [0]
  Tensor list_scale;  // [B] fp64

 private:
  static std::vector<int64_t> loss_shape(const ListInputTensors& inputs, Reduction reduction) {
    if (!inputs.lists.batched || reduction != Reduction::kNone) return {};
    return {inputs.inputs.lists.num_lists};
  }

  static std::vector<int64_t> grad_shape(const Tensor& scores, bool needs_grad) {
    if (!needs_grad) return {0};
    std::vector<int64_t> shape{1};
    for (int64_t size : scores.sizes()) shape.push_back(size);
    return shape;
  }
};

}  // namespace fused_rankloss
