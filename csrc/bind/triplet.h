// SPDX-License-Identifier: BSD-3-Clause
//
// The arguments of the triplet ops, checked and made into the structs of args/triplet.h. Both
// devices' op files open with one of these calls, so that they accept, refuse and return the same.
#pragma once

#include <tuple>
#include <vector>

#include "args/triplet.h"
#include "bind/choice.h"
#include "bind/op.h"
#include "bind/schemas.h"

namespace fused_rankloss {

inline constexpr Named<Distance> kDistances[] = {{"euclidean", Distance::kEuclidean},
                                                 {"sqeuclidean", Distance::kSquaredEuclidean},
                                                 {"cosine", Distance::kCosine}};
inline constexpr Named<TripletReduction> kTripletReductions[] = {
    {"mean", TripletReduction::kMean},
    {"mean_nonzero", TripletReduction::kMeanNonzero},
    {"sum", TripletReduction::kSum},
    {"none", TripletReduction::kNone}};
inline constexpr Named<Mining> kMinings[] = {
    {"hard", Mining::kHard}, {"semi_hard", Mining::kSemiHard}, {"all", Mining::kAll}};

// What the four calls have in common: tensors kept alive, and the checks. `op` is the public
// function, for which errors speak.
class TripletChecks {
 public:
  explicit TripletChecks(std::string op) : op(std::move(op)) {}

  const std::string op;
  ScalarType dtype{};  // of the embeddings

  const void* keep(const Tensor& tensor) {
    kept_.push_back(contiguous_of(tensor));
    return kept_.back().const_data_ptr();
  }

  void check_same_kind(const char* name, const Tensor& tensor, const char* model_name,
                       const Tensor& model) const {
    check(tensor.scalar_type() == model.scalar_type(), op, ": expected ", name, " of the dtype of ",
          model_name, ", got another");
    check_same_device(name, tensor, model_name, model);
  }

  void check_same_device(const char* name, const Tensor& tensor, const char* model_name,
                         const Tensor& model) const {
    check(tensor.device() == model.device(), op, ": expected ", name, " on the device of ",
          model_name, ", got another");
  }

  TripletTermArgs take_term(const OptionalTensor& margin_tensor, double margin, bool soft,
                            double boundary_grad, const Tensor& model) {
    check(boundary_grad >= 0 && boundary_grad <= 1, op, ": expected boundary_grad in [0, 1], got ",
          boundary_grad);
    TripletTermArgs term{nullptr, margin, soft, boundary_grad};
    if (margin_tensor) {
      check(margin_tensor->scalar_type() == ScalarType::Double && margin_tensor->numel() == 1, op,
            ": expected a margin tensor of dtype float64 with one element, got shape ",
            shape_string(*margin_tensor));
      check_same_device("margin", *margin_tensor, "the embeddings", model);
      term.margin_tensor = static_cast<const double*>(keep(*margin_tensor));
    }
    return term;
  }

  GradOutput take_grad(const Tensor& grad_loss, int64_t rows, const Tensor& model) {
    const ScalarType dtype = grad_loss.scalar_type();
    check(dtype == ScalarType::Float || dtype == ScalarType::Double, op,
          ": expected grad_loss of dtype float32 or float64");
    const bool per_row = grad_loss.dim() == 1;
    check(grad_loss.dim() <= 1 && grad_loss.numel() == (per_row ? rows : 1), op,
          ": expected grad_loss of shape [] or [", rows, "], got ", shape_string(grad_loss));
    check_same_device("grad_loss", grad_loss, "the embeddings", model);
    return {keep(grad_loss), per_row, dtype == ScalarType::Double};
  }

  // A result of the forward pass that comes back.
  template <typename T>
  const T* take_saved(const char* name, const Tensor& tensor, int64_t numel, const Tensor& model) {
    constexpr ScalarType kType = std::is_same_v<T, double> ? ScalarType::Double : ScalarType::Long;
    check(tensor.scalar_type() == kType && tensor.numel() == numel, op, ": expected ", name,
          " of the forward pass, got shape ", shape_string(tensor));
    check_same_device(name, tensor, "the embeddings", model);
    return static_cast<const T*>(keep(tensor));
  }

  TripletRows take_rows(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                        std::string_view distance, double p, double eps, bool swap) {
    TripletRows rows;
    dtype = anchor.scalar_type();
    rows.type = score_type(dtype, op, "anchor");
    check(anchor.dim() == 2, op, ": expected anchor of shape [R, D], got ", shape_string(anchor));
    check(same_shape(anchor, positive) && same_shape(anchor, negative), op,
          ": expected anchor, positive and negative of one shape, got ", shape_string(anchor), ", ",
          shape_string(positive), " and ", shape_string(negative));
    check_same_kind("positive", positive, "anchor", anchor);
    check_same_kind("negative", negative, "anchor", anchor);
    rows.anchor = keep(anchor);
    rows.positive = keep(positive);
    rows.negative = keep(negative);
    rows.num_rows = anchor.size(0);
    rows.dim = anchor.size(1);
    rows.distance = choice(op, "distance", distance, kDistances);
    check(p > 0, op, ": expected p > 0, got ", p);
    rows.p = p;
    rows.eps = eps;
    rows.swap = swap;
    return rows;
  }

  TripletBatch take_batch(const Tensor& embeddings, const Tensor& labels,
                          const OptionalTensor& ref_embeddings, const OptionalTensor& ref_labels,
                          std::string_view mining, std::string_view distance) {
    TripletBatch batch;
    dtype = embeddings.scalar_type();
    batch.type = score_type(dtype, op, "embeddings");
    check(embeddings.dim() == 2, op, ": expected embeddings of shape [N, D], got ",
          shape_string(embeddings));
    batch.num_anchors = embeddings.size(0);
    batch.dim = embeddings.size(1);
    batch.embeddings = keep(embeddings);
    batch.label_type = take_labels("labels", labels, batch.num_anchors, embeddings);
    batch.labels = kept_.back().const_data_ptr();
    check(ref_embeddings.has_value() == ref_labels.has_value(), op,
          ": expected both of ref_embeddings and ref_labels, got only one");
    batch.self = !ref_embeddings;
    if (batch.self) {
      batch.refs = batch.embeddings;
      batch.ref_labels = batch.labels;
      batch.ref_label_type = batch.label_type;
      batch.num_refs = batch.num_anchors;
    } else {
      check(ref_embeddings->dim() == 2 && ref_embeddings->size(1) == batch.dim, op,
            ": expected ref_embeddings of shape [M, ", batch.dim, "], got ",
            shape_string(*ref_embeddings));
      check_same_kind("ref_embeddings", *ref_embeddings, "embeddings", embeddings);
      batch.num_refs = ref_embeddings->size(0);
      batch.refs = keep(*ref_embeddings);
      batch.ref_label_type = take_labels("ref_labels", *ref_labels, batch.num_refs, embeddings);
      batch.ref_labels = kept_.back().const_data_ptr();
    }
    batch.distance = choice(op, "distance", distance, kDistances);
    batch.mining = choice("batch_triplet", "mining", mining, kMinings);
    return batch;
  }

  static std::string batch_function(std::string_view mining) {
    return "batch_" + std::string(mining) + "_triplet_loss";
  }

  static ScalarType loss_dtype(const Tensor& model) {
    return model.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
  }

 private:
  LabelType take_labels(const char* name, const Tensor& labels, int64_t size,
                        const Tensor& embeddings) {
    const LabelType type = label_type(labels.scalar_type(), op);
    check(type < LabelType::kHalf, op, ": expected ", name, " of a bool or integer dtype");
    check(labels.dim() == 1 && labels.numel() == size, op, ": expected ", name, " of shape [", size,
          "], got ", shape_string(labels));
    check_same_device(name, labels, "embeddings", embeddings);
    keep(labels);
    return type;
  }

  std::vector<Tensor> kept_;
};

class TripletCall : public TripletChecks {
 public:
  static constexpr std::string_view kSchema = kTripletForward;

  TripletCall(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
              const OptionalTensor& margin_tensor, double margin, bool soft,
              std::string_view distance, double p, double eps, bool swap, double boundary_grad,
              std::string_view reduction)
      : TripletChecks("triplet_loss") {
    args.rows = take_rows(anchor, positive, negative, distance, p, eps, swap);
    args.term = take_term(margin_tensor, margin, soft, boundary_grad, anchor);
    args.reduction = choice(op, "reduction", reduction, kTripletReductions);

    const int64_t rows = args.rows.num_rows;
    loss = args.reduction == TripletReduction::kNone
               ? new_tensor(anchor, {rows}, loss_dtype(anchor))
               : new_tensor(anchor, {}, loss_dtype(anchor));
    distances = new_tensor(anchor, {swap ? 3 : 2, rows}, ScalarType::Double);
    slope = new_tensor(anchor, {rows}, ScalarType::Double);
    args.loss = loss->mutable_data_ptr();
    args.distances = static_cast<double*>(distances->mutable_data_ptr());
    args.slope = static_cast<double*>(slope->mutable_data_ptr());
  }

  TripletArgs args;
  OptionalTensor loss, distances, slope;  // `args` points into them

  std::tuple<Tensor, Tensor, Tensor> results() const { return {*loss, *distances, *slope}; }
};

class TripletBackwardCall : public TripletChecks {
 public:
  static constexpr std::string_view kSchema = kTripletBackward;

  TripletBackwardCall(const Tensor& grad_loss, const Tensor& anchor, const Tensor& positive,
                      const Tensor& negative, const Tensor& distances, const Tensor& slope,
                      std::string_view distance, double p, double eps, bool swap)
      : TripletChecks("triplet_loss") {
    args.rows = take_rows(anchor, positive, negative, distance, p, eps, swap);
    const int64_t rows = args.rows.num_rows;
    args.grad_loss = take_grad(grad_loss, rows, anchor);
    args.distances = take_saved<double>("distances", distances, (swap ? 3 : 2) * rows, anchor);
    args.slope = take_saved<double>("slope", slope, rows, anchor);
    for (OptionalTensor* grad : {&grad_anchor, &grad_positive, &grad_negative}) {
      *grad = new_tensor(anchor, {rows, args.rows.dim}, anchor.scalar_type());
    }
    args.grad_anchor = grad_anchor->mutable_data_ptr();
    args.grad_positive = grad_positive->mutable_data_ptr();
    args.grad_negative = grad_negative->mutable_data_ptr();
  }

  TripletBackwardArgs args;
  OptionalTensor grad_anchor, grad_positive, grad_negative;

  std::tuple<Tensor, Tensor, Tensor> results() const {
    return {*grad_anchor, *grad_positive, *grad_negative};
  }
};

class BatchTripletCall : public TripletChecks {
 public:
  static constexpr std::string_view kSchema = kBatchTripletForward;

  BatchTripletCall(const Tensor& embeddings, const Tensor& labels,
                   const OptionalTensor& ref_embeddings, const OptionalTensor& ref_labels,
                   const OptionalTensor& margin_tensor, double margin, bool soft,
                   std::string_view mining, std::string_view distance, double boundary_grad,
                   std::string_view reduction, bool needs_grad, bool needs_mined)
      : TripletChecks(batch_function(mining)) {
    args.batch = take_batch(embeddings, labels, ref_embeddings, ref_labels, mining, distance);
    args.term = take_term(margin_tensor, margin, soft, boundary_grad, embeddings);
    args.reduction = choice(op, "reduction", reduction, kTripletReductions);
    args.needs_mined = needs_mined;
    // With a number for each anchor it is not known yet what multiplies which gradient; mined pairs
    // are gathered as cheaply in the backward pass.
    can_make_grads_ = needs_grad && args.batch.mining != Mining::kHard &&
                      args.reduction != TripletReduction::kNone;

    const int64_t anchors = args.batch.num_anchors;
    loss = args.reduction == TripletReduction::kNone
               ? new_tensor(embeddings, {anchors}, loss_dtype(embeddings))
               : new_tensor(embeddings, {}, loss_dtype(embeddings));
    positive = new_tensor(embeddings, {anchors}, ScalarType::Long);
    negative = new_tensor(embeddings, {anchors}, ScalarType::Long);
    distances = new_tensor(embeddings, {2, anchors}, ScalarType::Double);
    slope = new_tensor(embeddings, {anchors}, ScalarType::Double);
    anchor_scale = new_tensor(embeddings, {}, ScalarType::Double);
    args.loss = loss->mutable_data_ptr();
    args.positive = static_cast<int64_t*>(positive->mutable_data_ptr());
    args.negative = static_cast<int64_t*>(negative->mutable_data_ptr());
    args.distances = static_cast<double*>(distances->mutable_data_ptr());
    args.slope = static_cast<double*>(slope->mutable_data_ptr());
    args.anchor_scale = static_cast<double*>(anchor_scale->mutable_data_ptr());
  }

  // For a device whose forward pass makes gradients at less than the cost of the backward op. The
  // backward pass is then a multiplication.
  void make_grads() {
    const TripletBatch& batch = args.batch;
    args.needs_grad = can_make_grads_;
    if (!args.needs_grad) return;
    grad = new_tensor(*loss, {batch.num_anchors, batch.dim}, loss->scalar_type());
    args.grad = grad->mutable_data_ptr();
    if (batch.self) return;
    grad_refs = new_tensor(*loss, {batch.num_refs, batch.dim}, loss->scalar_type());
    args.grad_refs = grad_refs->mutable_data_ptr();
  }

  BatchTripletArgs args;
  OptionalTensor loss, positive, negative, distances, slope, anchor_scale, grad, grad_refs;

  using Results = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;
  Results results() const {
    const auto or_empty = [&](const OptionalTensor& made) {
      return made ? *made : new_tensor(*loss, {0}, loss->scalar_type());
    };
    return {*loss,  *positive,     *negative,      *distances,
            *slope, *anchor_scale, or_empty(grad), or_empty(grad_refs)};
  }

 private:
  bool can_make_grads_ = false;
};

class BatchTripletBackwardCall : public TripletChecks {
 public:
  static constexpr std::string_view kSchema = kBatchTripletBackward;

  BatchTripletBackwardCall(const Tensor& grad_loss, const Tensor& embeddings, const Tensor& labels,
                           const OptionalTensor& ref_embeddings, const OptionalTensor& ref_labels,
                           const OptionalTensor& margin_tensor, double margin, bool soft,
                           std::string_view mining, std::string_view distance, double boundary_grad,
                           const Tensor& positive, const Tensor& negative, const Tensor& distances,
                           const Tensor& slope, const Tensor& anchor_scale)
      : TripletChecks(batch_function(mining)) {
    args.batch = take_batch(embeddings, labels, ref_embeddings, ref_labels, mining, distance);
    args.term = take_term(margin_tensor, margin, soft, boundary_grad, embeddings);
    const int64_t anchors = args.batch.num_anchors;
    args.grad_loss = take_grad(grad_loss, anchors, embeddings);
    args.positive = take_saved<int64_t>("positive", positive, anchors, embeddings);
    args.negative = take_saved<int64_t>("negative", negative, anchors, embeddings);
    args.distances = take_saved<double>("distances", distances, 2 * anchors, embeddings);
    args.slope = take_saved<double>("slope", slope, anchors, embeddings);
    args.anchor_scale = take_saved<double>("anchor_scale", anchor_scale, 1, embeddings);

    const ScalarType dtype = embeddings.scalar_type();
    grad_embeddings = new_tensor(embeddings, {anchors, args.batch.dim}, dtype);
    grad_refs = args.batch.self
                    ? new_tensor(embeddings, {0}, dtype)
                    : new_tensor(embeddings, {args.batch.num_refs, args.batch.dim}, dtype);
    args.grad_embeddings = grad_embeddings->mutable_data_ptr();
    args.grad_refs = args.batch.self ? nullptr : grad_refs->mutable_data_ptr();
  }

  BatchTripletBackwardArgs args;
  OptionalTensor grad_embeddings, grad_refs;

  std::tuple<Tensor, Tensor> results() const { return {*grad_embeddings, *grad_refs}; }
};

}  // namespace fused_rankloss
