// SPDX-License-Identifier: BSD-3-Clause
//
// The tensors that every loss over lists takes, checked, kept alive, and made into a ListInputs.
#pragma once

#include "args/list_inputs.h"
#include "bind/choice.h"
#include "bind/torch.h"
#include "common/reduction.h"

namespace fused_rankloss {

inline constexpr Named<Reduction> kReductions[] = {{"mean", Reduction::kMean},
                                                   {"sum", Reduction::kSum},
                                                   {"none", Reduction::kNone},
                                                   {"list_mean", Reduction::kListMean},
                                                   {"batch_mean", Reduction::kBatchMean}};
// Whether pairs weigh as their more relevant item does.
inline constexpr Named<bool> kWeightings[] = {{"product", false}, {"preferred", true}};

class ListInputTensors {
 public:
  // `op` is the public function, for which errors speak.
  ListInputTensors(const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
                   const OptionalTensor& list_weights, const OptionalTensor& mask,
                   const OptionalTensor& lengths, const OptionalTensor& offsets, std::string op)
      : op(std::move(op)),
        scores_dtype(scores.scalar_type()),
        real(scores_dtype == ScalarType::Double ? ScalarType::Double : ScalarType::Float),
        lists(scores, mask, lengths, offsets, this->op),
        scores_(contiguous_of(scores)),
        labels_(contiguous_of(labels)) {
    inputs.lists = lists.view;
    inputs.scores = scores_.const_data_ptr();
    inputs.score_type = score_type(scores_dtype, this->op, "scores");
    check_companion("labels", labels);
    inputs.label_type = label_type(labels.scalar_type(), this->op);
    inputs.labels = labels_.const_data_ptr();
    if (weights) {
      check_companion("weights", *weights);
      const bool exact = weights->scalar_type() == real;
      weights_ = contiguous_of(exact ? *weights
                                     : allocate_tensor(static_cast<double>(weights->numel()), [&] {
                                         return torch::stable::to(*weights, real);
                                       }));
      inputs.weights = weights_->const_data_ptr();
    }
    if (list_weights) {
      list_weights_ = fp64("list_weights", *list_weights);
      check(list_weights->dim() == 1 && list_weights->numel() == inputs.lists.num_lists, this->op,
            ": expected list_weights of shape [", inputs.lists.num_lists, "], got ",
            shape_string(*list_weights));
      inputs.list_weights = static_cast<const double*>(list_weights_->const_data_ptr());
    }
  }

  const std::string op;
  const ScalarType scores_dtype;
  const ScalarType real;  // dtype of the loss
  ListTensors lists;
  ListInputs inputs;

  void check_companion(const char* name, const Tensor& tensor) const {
    check(same_shape(tensor, scores_), op, ": expected ", name, " of shape ", shape_string(scores_),
          " (as scores), got ", shape_string(tensor));
    check_device(name, tensor);
  }

  void check_device(const char* name, const Tensor& tensor) const {
    check(tensor.device() == scores_.device(), op, ": expected ", name,
          " on the device of scores, got another");
  }

  // A tensor of fp64 that Python has converted, alive for as long as the returned one.
  Tensor fp64(const char* name, const Tensor& tensor) const {
    check(tensor.scalar_type() == ScalarType::Double, op, ": expected ", name,
          " of dtype float64, got another");
    check_device(name, tensor);
    return contiguous_of(tensor);
  }

 private:
  Tensor scores_;
  Tensor labels_;
  OptionalTensor weights_;
  OptionalTensor list_weights_;
};

}  // namespace fused_rankloss
