// SPDX-License-Identifier: BSD-3-Clause
//
// The arguments of the op `listwise_forward`, checked and made into ListwiseArgs. Both devices' op
// files open with a ListwiseCall, so that they accept, refuse and return the same.
#pragma once

#include <cmath>
#include <tuple>

#include "args/listwise.h"
#include "bind/list_inputs.h"
#include "bind/list_results.h"

namespace fused_rankloss {

class ListwiseCall {
 public:
  ListwiseCall(const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
               const OptionalTensor& gains, const OptionalTensor& mask,
               const OptionalTensor& lengths, const OptionalTensor& offsets,
               const OptionalTensor& position_weights, std::string_view loss,
               std::string_view positions, double temperature, std::string_view gain,
               std::string_view reduction, bool needs_grad)
      : inputs(scores, labels, weights, mask, lengths, offsets, std::string(loss) + "_loss"),
        op(inputs.op) {
    static_cast<ListInputs&>(args) = inputs.inputs;
    args.loss_kind = parse_loss(loss);
    check(positions == "none" || positions == "exponential", op,
          ": expected positions 'none' or 'exponential', got '", positions, "'");
    args.exponential_positions = positions == "exponential";
    check(temperature > 0 && std::isfinite(temperature), op,
          ": expected a positive finite temperature, got ", temperature);
    args.temperature = temperature;
    args.gain = parse_gain(gain, op);
    if (gains) {
      inputs.check_companion("gains", *gains);
      gains_ = inputs.fp64("gains", *gains);
      args.gains = static_cast<const double*>(gains_->const_data_ptr());
    }
    if (position_weights) {
      check(position_weights->dim() == 1 && position_weights->numel() >= 1, op,
            ": expected position_weights of shape [R] with R >= 1, got ",
            shape_string(*position_weights));
      position_weights_ = inputs.fp64("position_weights", *position_weights);
      args.position_weights = static_cast<const double*>(position_weights_->const_data_ptr());
      args.num_position_weights = position_weights->numel();
    }
    args.reduction = parse_reduction(reduction, op);
    results.emplace(inputs, scores, args.reduction, needs_grad);
    args.loss = results->loss.mutable_data_ptr();
    args.raw_grad = needs_grad ? results->raw_grad.mutable_data_ptr() : nullptr;
    args.list_scale = static_cast<double*>(results->list_scale.mutable_data_ptr());
  }

  const ListInputTensors inputs;
  const std::string op;  // the public function, for which errors speak
  ListwiseArgs args;

  // The results of the op; `args` points into them.
  std::optional<ListResults> results;

  std::tuple<Tensor, Tensor, Tensor> tensors() const {
    return {results->loss, results->raw_grad, results->list_scale};
  }

 private:
  ListwiseLoss parse_loss(std::string_view name) const {
    if (name == "listnet") return ListwiseLoss::kListNet;
    if (name == "list_mle") return ListwiseLoss::kListMle;
    check(name == "approx_ndcg", "listwise_forward",
          ": expected loss 'listnet', 'list_mle' or 'approx_ndcg', got '", name, "'");
    return ListwiseLoss::kApproxNdcg;
  }

  OptionalTensor gains_;
  OptionalTensor position_weights_;
};

// The op on a device that solves calls with `solve`.
template <void (*solve)(const Tensor& scores, const ListwiseCall& call)>
std::tuple<Tensor, Tensor, Tensor> listwise_forward(
    const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
    const OptionalTensor& gains, const OptionalTensor& mask, const OptionalTensor& lengths,
    const OptionalTensor& offsets, const OptionalTensor& position_weights, const std::string& loss,
    const std::string& positions, double temperature, const std::string& gain,
    const std::string& reduction, bool needs_grad) {
  const ListwiseCall call(scores, labels, weights, gains, mask, lengths, offsets, position_weights,
                          loss, positions, temperature, gain, reduction, needs_grad);
  solve(scores, call);
  return call.tensors();
}

}  // namespace fused_rankloss
