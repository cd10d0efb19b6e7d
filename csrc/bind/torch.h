// SPDX-License-Identifier: BSD-3-Clause
//
// The only header that sees torch, and only through the LibTorch Stable ABI: one build runs on
// every torch from 2.11 on. What it makes of tensors are the POD views of lists.h and labels.h.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/c/shim.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <iomanip>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "common/labels.h"
#include "common/lists.h"

// In torch from 2.13 on; null before.
extern "C" __attribute__((weak)) const char* torch_exception_get_what_without_backtrace();

namespace fused_rankloss {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;

// Exceptions leave an op as they are: std::invalid_argument arrives in Python as a ValueError with
// exactly this text.
template <typename... Parts>
void check(bool condition, const Parts&... parts) {
  if (condition) [[likely]] {
    return;
  }
  std::ostringstream text;
  (text << ... << parts);
  throw std::invalid_argument(text.str());
}

inline std::string shape_string(const Tensor& tensor) {
  std::string text = "[";
  for (int64_t size : tensor.sizes()) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

inline bool same_shape(const Tensor& a, const Tensor& b) { return a.sizes().equals(b.sizes()); }

// What `make` returns, a tensor of `numel` elements for which memory is allocated. All that torch
// says in its place is in which line of its headers a call failed.
template <typename Make>
Tensor allocate_tensor(double numel, const Make& make) {
  try {
    return make();
  } catch (const std::runtime_error&) {
    // fused_rankloss/ops.py makes a torch.OutOfMemoryError of texts that begin so.
    std::ostringstream text;
    text << std::setprecision(20)
         << "fused_rankloss: out of memory: could not allocate a tensor of " << numel
         << " elements";
    if (torch_exception_get_what_without_backtrace != nullptr) {
      text << ": " << torch_exception_get_what_without_backtrace();
    }
    throw std::runtime_error(text.str());
  }
}

inline Tensor new_tensor(const Tensor& like, torch::headeronly::IntHeaderOnlyArrayRef shape,
                         ScalarType dtype) {
  double numel = 1;
  for (const int64_t size : shape) numel *= static_cast<double>(size);
  return allocate_tensor(numel, [&] { return torch::stable::new_empty(like, shape, dtype); });
}

inline Tensor new_tensor(const Tensor& like, std::initializer_list<int64_t> shape,
                         ScalarType dtype) {
  return new_tensor(like, torch::headeronly::IntHeaderOnlyArrayRef(shape.begin(), shape.size()),
                    dtype);
}

// Asking first is cheaper than a call through the dispatcher, which small inputs would notice.
inline Tensor contiguous_of(const Tensor& tensor) {
  if (tensor.is_contiguous()) return tensor;
  return allocate_tensor(static_cast<double>(tensor.numel()),
                         [&] { return torch::stable::contiguous(tensor); });
}

// `what` names the tensor, for the error.
inline ScoreType score_type(ScalarType dtype, std::string_view op, std::string_view what) {
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
      check(false, op, ": expected ", what, " of dtype float16, bfloat16, float32 or float64");
      return {};
  }
}

// Calls `body` with a value of the type that scores are stored in.
template <typename Body>
decltype(auto) dispatch_scores(ScalarType dtype, std::string_view op, Body&& body) {
  switch (score_type(dtype, op, "scores")) {
    case ScoreType::kHalf:
      return body(Half{});
    case ScoreType::kBFloat16:
      return body(BFloat16{});
    case ScoreType::kFloat:
      return body(float{});
    default:
      return body(double{});
  }
}

inline LabelType label_type(ScalarType dtype, std::string_view op) {
  switch (dtype) {
    case ScalarType::Bool:
      return LabelType::kBool;
    case ScalarType::Byte:
      return LabelType::kUInt8;
    case ScalarType::Char:
      return LabelType::kInt8;
    case ScalarType::Short:
      return LabelType::kInt16;
    case ScalarType::Int:
      return LabelType::kInt32;
    case ScalarType::Long:
      return LabelType::kInt64;
    case ScalarType::Half:
      return LabelType::kHalf;
    case ScalarType::BFloat16:
      return LabelType::kBFloat16;
    case ScalarType::Float:
      return LabelType::kFloat;
    case ScalarType::Double:
      return LabelType::kDouble;
    default:
      throw std::invalid_argument(std::string(op) +
                                  ": expected labels of a bool, integer or float dtype");
  }
}

// A `str` argument of an op, which arrives as a handle that its receiver has to delete.
inline std::string take_string(StringHandle handle) {
  const std::unique_ptr<StringOpaque, decltype(&torch_delete_string)> owner(handle,
                                                                            torch_delete_string);
  size_t length = 0;
  const char* text = nullptr;
  if (torch_string_length(handle, &length) != TORCH_SUCCESS ||
      torch_string_c_str(handle, &text) != TORCH_SUCCESS) {
    throw std::runtime_error("fused_rankloss: expected a string from the dispatcher");
  }
  return std::string(text, length);
}

// How TORCH_BOX hands over a parameter of an op.
template <typename Parameter>
struct Handed {
  using Type = Parameter;
  static Parameter&& take(std::remove_reference_t<Parameter>& value) {
    return static_cast<Parameter&&>(value);
  }
};

template <>
struct Handed<const std::string&> {
  using Type = StringHandle;
  static std::string take(StringHandle handle) { return take_string(handle); }
};

template <auto op>
struct OpWithHandles;

template <typename Result, typename... Parameters, Result (*op)(Parameters...)>
struct OpWithHandles<op> {
  static Result call(typename Handed<Parameters>::Type... arguments) {
    return op(Handed<Parameters>::take(arguments)...);
  }
};

// TORCH_BOX for ops with strings: torch's own conversion of a `str` argument to std::string leaks
// one string a call (torch/csrc/stable/stableivalue_conversions.h, up to 2.13 at least).
template <auto op>
constexpr auto boxed() {
  return TORCH_BOX(&OpWithHandles<op>::call);
}

// The tensors that say which slots belong to which list, made contiguous and kept alive for as long
// as the view is in use.
class ListTensors {
 public:
  ListTensors(const Tensor& scores, const OptionalTensor& mask, const OptionalTensor& lengths,
              const OptionalTensor& offsets, std::string_view op)
      : mask_(contiguous(mask)), lengths_(contiguous(lengths)), offsets_(contiguous(offsets)) {
    const int64_t dim = scores.dim();
    check(dim == (offsets_   ? 1
                  : dim == 1 ? 1
                             : 2),
          op, ": expected scores of shape [N], [B, N] or, with offsets, [T], got ",
          shape_string(scores));
    batched = offsets_.has_value() || dim == 2;
    view.num_slots = scores.numel();
    view.num_lists = offsets_ ? offsets_->numel() - 1 : dim == 2 ? scores.size(0) : 1;
    view.width = dim == 2 ? scores.size(1) : scores.numel();
    if (offsets_) {
      check(offsets_->dim() == 1 && offsets_->numel() >= 1, op,
            ": expected offsets of shape [B + 1], got ", shape_string(*offsets_));
      check(view.num_lists > 0 || view.num_slots == 0, op,
            ": expected offsets that start at 0 and end at ", view.num_slots,
            " (the number of scores), got a single offset");
      view.offsets = index_array(*offsets_, scores, "offsets", op);
    }
    if (lengths_) {
      check(!offsets_ && !mask_, op, ": expected one of mask, lengths and offsets, got several");
      check(lengths_->dim() == 1 && lengths_->numel() == view.num_lists, op,
            ": expected lengths of shape [", view.num_lists, "], got ", shape_string(*lengths_));
      view.lengths = index_array(*lengths_, scores, "lengths", op);
    }
    if (mask_) {
      check(mask_->scalar_type() == ScalarType::Bool, op, ": expected a mask of dtype bool");
      check(same_shape(*mask_, scores), op, ": expected a mask of shape ", shape_string(scores),
            ", got ", shape_string(*mask_));
      check(mask_->device() == scores.device(), op, ": expected mask on the device of scores");
      view.mask = static_cast<const uint8_t*>(mask_->const_data_ptr());
    }
  }

  Lists view;
  bool batched = false;  // false for one list [N], whose results have no list dimension

 private:
  static OptionalTensor contiguous(const OptionalTensor& tensor) {
    return tensor ? OptionalTensor(contiguous_of(*tensor)) : tensor;
  }

  static IndexArray index_array(const Tensor& tensor, const Tensor& scores, const char* name,
                                std::string_view op) {
    const ScalarType dtype = tensor.scalar_type();
    check(dtype == ScalarType::Int || dtype == ScalarType::Long, op, ": expected ", name,
          " of dtype int32 or int64");
    check(tensor.device() == scores.device(), op, ": expected ", name, " on the device of scores");
    return {tensor.const_data_ptr(), dtype == ScalarType::Long};
  }

  OptionalTensor mask_;
  OptionalTensor lengths_;
  OptionalTensor offsets_;
};

}  // namespace fused_rankloss
