// SPDX-License-Identifier: BSD-3-Clause
//
// The arguments of the op `pairwise_forward`, checked and made into PairwiseArgs. Both devices' op
// files open with a PairwiseCall, so that they accept, refuse and return the same.
#pragma once

#include <tuple>
#include <vector>

#include "common/pairwise_args.h"
#include "common/torch.h"
#include "losses/pair_losses.h"

namespace fused_rankloss {

class PairwiseCall {
 public:
  PairwiseCall(const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
               const OptionalTensor& mask, const OptionalTensor& lengths,
               const OptionalTensor& offsets, const OptionalTensor& margins, double margin,
               std::string_view loss_name, std::string_view weighting, double boundary_grad,
               std::string_view reduction, bool needs_grad)
      : op("pairwise_" + std::string(loss_name) + "_loss"),
        loss_name(loss_name),
        scores_dtype(scores.scalar_type()),
        lists_(scores, mask, lengths, offsets, op),
        scores_(contiguous(scores)),
        labels_(contiguous(labels)) {
    const bool wide = scores_dtype == ScalarType::Double;
    const ScalarType real = wide ? ScalarType::Double : ScalarType::Float;

    args.lists = lists_.view;
    args.scores = scores_.const_data_ptr();
    args.score_type = score_type(scores_dtype);
    check_companion("labels", labels, scores);
    args.label_type = label_type(labels.scalar_type(), op);
    args.labels = labels_.const_data_ptr();
    if (weights) {
      check_companion("weights", *weights, scores);
      const bool exact = weights->scalar_type() == real;
      weights_ = contiguous(exact ? *weights : torch::stable::to(*weights, real));
      args.weights = weights_->const_data_ptr();
    }
    take_margins(margins, margin, scores);
    args.preferred = parse_weighting(weighting);
    check(boundary_grad >= 0 && boundary_grad <= 1, op, ": expected boundary_grad in [0, 1], got ",
          boundary_grad);
    args.boundary_grad = boundary_grad;
    args.reduction = parse_reduction(reduction, op);

    const bool indicator =
        dispatch_pair_loss(loss_name, [](auto loss) { return decltype(loss)::kSlopeIsIndicator; });
    args.counts = indicator && !weights && (boundary_grad == 0 || boundary_grad == 1);
    args.wide_counts = args.lists.num_slots > INT32_MAX;
    allocate(scores, margins, real, needs_grad);
  }

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
  // Asking is cheaper than a call through the dispatcher, which small inputs would notice.
  static Tensor contiguous(const Tensor& tensor) {
    return tensor.is_contiguous() ? tensor : torch::stable::contiguous(tensor);
  }

  void check_companion(const char* name, const Tensor& tensor, const Tensor& scores) const {
    check(same_shape(tensor, scores), op, ": expected ", name, " of shape ", shape_string(scores),
          " (as scores), got ", shape_string(tensor));
    check(tensor.device() == scores.device(), op, ": expected ", name,
          " on the device of scores, got another");
  }

  ScoreType score_type(ScalarType dtype) const {
    switch (dtype) {
      case ScalarType::Half:
        return ScoreType::kHalf;
      case ScalarType::BFloat16:
        return ScoreType::kBFloat16;
      case ScalarType::Float:
        return ScoreType::kFloat;
      case ScalarType::Double:
        return ScoreType::kDouble;
      default:
        check(false, op, ": expected scores of dtype float16, bfloat16, float32 or float64");
        return {};
    }
  }

  bool parse_weighting(std::string_view weighting) const {
    check(weighting == "product" || weighting == "preferred", op,
          ": expected weighting 'product' or 'preferred', got '", weighting, "'");
    return weighting == "preferred";
  }

  void take_margins(const OptionalTensor& margins, double margin, const Tensor& scores) {
    args.margin = margin;
    if (!margins) return;
    check(margins->scalar_type() == ScalarType::Double, op,
          ": expected margins of dtype float64, got another");
    check(margins->device() == scores.device(), op,
          ": expected margins on the device of scores, got another");
    check(margins->dim() <= 1 && margins->numel() >= 1, op,
          ": expected margins of shape [] or [K] with K >= 1, got ", shape_string(*margins));
    margins_ = contiguous(*margins);
    args.margins = static_cast<const double*>(margins_->const_data_ptr());
    args.num_margins = margins->numel();
  }

  void allocate(const Tensor& scores, const OptionalTensor& margins, ScalarType real,
                bool needs_grad) {
    const int64_t num_lists = args.lists.num_lists;
    std::vector<int64_t> loss_shape;
    if (margins && margins->dim() == 1) loss_shape.push_back(args.num_margins);
    if (lists_.batched && args.reduction == Reduction::kNone) loss_shape.push_back(num_lists);
    loss = torch::stable::new_empty(scores, loss_shape, real);

    std::vector<int64_t> grad_shape{0};
    if (needs_grad) {
      grad_shape[0] = args.num_margins;
      for (int64_t size : scores.sizes()) grad_shape.push_back(size);
    }
    const ScalarType count = args.wide_counts ? ScalarType::Long : ScalarType::Int;
    raw_grad = torch::stable::new_empty(scores, grad_shape, args.counts ? count : real);
    list_scale = new_tensor(scores, {num_lists}, ScalarType::Double);
    margin_slope = new_tensor(scores, {args.num_margins, num_lists}, ScalarType::Double);

    args.loss = loss->mutable_data_ptr();
    args.raw_grad = needs_grad ? raw_grad->mutable_data_ptr() : nullptr;
    args.list_scale = static_cast<double*>(list_scale->mutable_data_ptr());
    args.margin_slope = static_cast<double*>(margin_slope->mutable_data_ptr());
  }

  ListTensors lists_;
  Tensor scores_;
  Tensor labels_;
  OptionalTensor weights_;
  OptionalTensor margins_;
};

}  // namespace fused_rankloss
