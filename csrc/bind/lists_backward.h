// SPDX-License-Identifier: BSD-3-Clause
//
// The arguments of the op `lists_backward`, checked and made into POD views. Both devices' op files
// open with a ListsBackwardCall, so that they accept, refuse and return the same.
#pragma once

#include <vector>

#include "args/lists_backward.h"
#include "bind/op.h"
#include "bind/schemas.h"

namespace fused_rankloss {

class ListsBackwardCall {
 public:
  static constexpr std::string_view kSchema = kListsBackward;

  ListsBackwardCall(const Tensor& grad_loss, const Tensor& raw_grad, const Tensor& list_scale,
                    const OptionalTensor& mask, const OptionalTensor& lengths,
                    const OptionalTensor& offsets, ScalarType dtype)
      : grad_loss_(contiguous_of(grad_loss)),
        raw_grad_(contiguous_of(raw_grad)),
        list_scale_(contiguous_of(list_scale)) {
    check(raw_grad.dim() >= 2, kOp, ": expected raw_grad of shape [K, *scores], got ",
          shape_string(raw_grad));
    const std::vector<int64_t> shape(raw_grad.sizes().begin() + 1, raw_grad.sizes().end());
    grad_scores = new_tensor(raw_grad, shape, dtype);
    lists_.emplace(*grad_scores, mask, lengths, offsets, kOp);
    args.lists = lists_->view;
    args.num_margins = raw_grad.size(0);

    check(list_scale.scalar_type() == ScalarType::Double &&
              list_scale.numel() == args.lists.num_lists,
          kOp, ": expected list_scale of dtype float64 and shape [", args.lists.num_lists,
          "], got shape ", shape_string(list_scale));
    const int64_t per_list = args.num_margins * args.lists.num_lists;
    check(grad_loss.numel() == args.num_margins || grad_loss.numel() == per_list, kOp,
          ": expected grad_loss of ", args.num_margins, " or ", per_list, " elements, got shape ",
          shape_string(grad_loss));
    args.per_list = grad_loss.numel() == per_list;
    args.grad_loss_is_double = is_double(grad_loss, "grad_loss");
    switch (raw_grad.scalar_type()) {
      case ScalarType::Int:
        args.raw_type = RawGradType::kInt32;
        break;
      case ScalarType::Long:
        args.raw_type = RawGradType::kInt64;
        break;
      default:
        args.raw_type =
            is_double(raw_grad, "raw_grad") ? RawGradType::kDouble : RawGradType::kFloat;
    }
    check(grad_loss.device() == raw_grad.device() && list_scale.device() == raw_grad.device(), kOp,
          ": expected grad_loss and list_scale on the device of raw_grad");

    args.grad_loss = grad_loss_.const_data_ptr();
    args.raw_grad = raw_grad_.const_data_ptr();
    args.list_scale = static_cast<const double*>(list_scale_.const_data_ptr());
    args.grad_scores = grad_scores->mutable_data_ptr();
  }

  static constexpr const char* kOp = "lists_backward";
  ListsBackwardArgs args;
  OptionalTensor grad_scores;

  const Tensor& results() const { return *grad_scores; }

 private:
  static bool is_double(const Tensor& tensor, const char* name) {
    const ScalarType dtype = tensor.scalar_type();
    check(dtype == ScalarType::Float || dtype == ScalarType::Double, kOp, ": expected ", name,
          " of dtype float32 or float64");
    return dtype == ScalarType::Double;
  }

  Tensor grad_loss_;
  Tensor raw_grad_;
  Tensor list_scale_;
  std::optional<ListTensors> lists_;
};

}  // namespace fused_rankloss
