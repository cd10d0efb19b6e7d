// SPDX-License-Identifier: BSD-3-Clause
//
// The arguments of the op `pairwise_forward`, checked and made into PairwiseArgs. Both devices' op
// files open with a PairwiseCall, so that they accept, refuse and return the same.
#pragma once

#include <tuple>
#include <vector>

#include "args/pairwise.h"
#include "bind/list_inputs.h"
#include "bind/op.h"
#include "bind/schemas.h"
#include "losses/pair_losses.h"

namespace fused_rankloss {

class PairwiseCall {
 public:
  static constexpr std::string_view kSchema = kPairwiseForward;

  PairwiseCall(const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
               const OptionalTensor& list_weights, const OptionalTensor& mask,
               const OptionalTensor& lengths, const OptionalTensor& offsets,
               const OptionalTensor& margins, double margin, std::string_view loss_name,
               std::string_view weighting, double boundary_grad, std::string_view reduction,
               bool needs_grad)
      : inputs(scores, labels, weights, list_weights, mask, lengths, offsets,
               "pairwise_" + std::string(loss_name) + "_loss"),
        op(inputs.op),
        loss_name(loss_name),
        scores_dtype(inputs.scores_dtype) {
    static_cast<ListInputs&>(args) = inputs.inputs;
    take_margins(margins, margin);
    args.preferred = choice(op, "weighting", weighting, kWeightings);
    check(boundary_grad >= 0 && boundary_grad <= 1, op, ": expected boundary_grad in [0, 1], got ",
          boundary_grad);
    args.boundary_grad = boundary_grad;
    args.reduction = choice(op, "reduction", reduction, kReductions);

    const bool indicator =
        dispatch_pair_loss(loss_name, [](auto loss) { return decltype(loss)::kSlopeIsIndicator; });
    args.counts = indicator && !weights && (boundary_grad == 0 || boundary_grad == 1);
    args.wide_counts = args.lists.num_slots > INT32_MAX;
    allocate(scores, margins, needs_grad);
  }

  const ListInputTensors inputs;
  PairwiseArgs args;
  const std::string op;         // the public function, for which errors speak
  const std::string loss_name;  // for dispatch_pair_loss
  const ScalarType scores_dtype;

  // The four results of the op; `args` points into them.
  std::optional<Tensor> loss;
  std::optional<Tensor> raw_grad;
  std::optional<Tensor> list_scale;
  std::optional<Tensor> margin_slope;

  std::tuple<Tensor, Tensor, Tensor, Tensor> results() const {
    return {*loss, *raw_grad, *list_scale, *margin_slope};
  }

 private:
  void take_margins(const OptionalTensor& margins, double margin) {
    args.margin = margin;
    if (!margins) return;
    margins_ = inputs.fp64("margins", *margins);
    check(margins->dim() <= 1 && margins->numel() >= 1, op,
          ": expected margins of shape [] or [K] with K >= 1, got ", shape_string(*margins));
    args.margins = static_cast<const double*>(margins_->const_data_ptr());
    args.num_margins = margins->numel();
  }

  void allocate(const Tensor& scores, const OptionalTensor& margins, bool needs_grad) {
    const ScalarType real = inputs.real;
    const int64_t num_lists = args.lists.num_lists;
    std::vector<int64_t> loss_shape;
    if (margins && margins->dim() == 1) loss_shape.push_back(args.num_margins);
    if (inputs.lists.batched && args.reduction == Reduction::kNone) loss_shape.push_back(num_lists);
    loss = new_tensor(scores, loss_shape, real);

    std::vector<int64_t> grad_shape{0};
    if (needs_grad) {
      grad_shape[0] = args.num_margins;
      for (int64_t size : scores.sizes()) grad_shape.push_back(size);
    }
    const ScalarType count = args.wide_counts ? ScalarType::Long : ScalarType::Int;
    raw_grad = new_tensor(scores, grad_shape, args.counts ? count : real);
    list_scale = new_tensor(scores, {num_lists}, ScalarType::Double);
    margin_slope = new_tensor(scores, {args.num_margins, num_lists}, ScalarType::Double);

    args.loss = loss->mutable_data_ptr();
    args.raw_grad = needs_grad ? raw_grad->mutable_data_ptr() : nullptr;
    args.list_scale = static_cast<double*>(list_scale->mutable_data_ptr());
    args.margin_slope = static_cast<double*>(margin_slope->mutable_data_ptr());
  }

  OptionalTensor margins_;
};

}  // namespace fused_rankloss
