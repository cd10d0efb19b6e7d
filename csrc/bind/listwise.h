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
#include "bind/op.h"
#include "bind/schemas.h"

namespace fused_rankloss {

inline constexpr Named<ListwiseLoss> kListwiseLosses[] = {
    {"listnet", ListwiseLoss::kListNet},
    {"list_mle", ListwiseLoss::kListMle},
    {"approx_ndcg", ListwiseLoss::kApproxNdcg}};
inline constexpr Named<bool> kPositions[] = {{"none", false}, {"exponential", true}};

class ListwiseCall {
 public:
  static constexpr std::string_view kSchema = kListwiseForward;

  ListwiseCall(const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
               const OptionalTensor& list_weights, const OptionalTensor& gains,
               const OptionalTensor& mask, const OptionalTensor& lengths,
               const OptionalTensor& offsets, const OptionalTensor& position_weights,
               std::string_view loss, std::string_view positions, double temperature,
               std::string_view gain, std::string_view reduction, bool needs_grad)
      : inputs(scores, labels, weights, list_weights, mask, lengths, offsets,
               std::string(loss) + "_loss"),
        op(inputs.op) {
    static_cast<ListInputs&>(args) = inputs.inputs;
    args.loss_kind = choice("listwise_forward", "loss", loss, kListwiseLosses);
    args.exponential_positions = choice(op, "positions", positions, kPositions);
    check(temperature > 0 && std::isfinite(temperature), op,
          ": expected a positive finite temperature, got ", temperature);
    args.temperature = temperature;
    args.gain = choice(op, "gain", gain, kGains);
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
    args.reduction = choice(op, "reduction", reduction, kReductions);
    outputs.emplace(inputs, scores, args.reduction, needs_grad);
    args.loss = outputs->loss.mutable_data_ptr();
    args.raw_grad = needs_grad ? outputs->raw_grad.mutable_data_ptr() : nullptr;
    args.list_scale = static_cast<double*>(outputs->list_scale.mutable_data_ptr());
  }

  const ListInputTensors inputs;
  const std::string op;  // the public function, for which errors speak
  ListwiseArgs args;

  // What the op returns; `args` points into it.
  std::optional<ListResults> outputs;

  std::tuple<Tensor, Tensor, Tensor> results() const {
    return {outputs->loss, outputs->raw_grad, outputs->list_scale};
  }

 private:
  OptionalTensor gains_;
  OptionalTensor position_weights_;
};

}  // namespace fused_rankloss
