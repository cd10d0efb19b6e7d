// SPDX-License-Identifier: BSD-3-Clause
//
// Labels of any dtype as int64 keys that sort as the labels do: integers are their own key, floats
// become their ordered bits. Keys of one list come from one dtype, so they compare exactly; no
// label is ever rounded to a common float type.
#pragma once

#include <type_traits>

#include "common/half.h"

namespace fused_rankloss {

enum class LabelType : int32_t {
  kBool,
  kUInt8,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kHalf,
  kBFloat16,
  kFloat,
  kDouble,
};

// A byte that is false if 0 and true otherwise; reading a C++ bool of another value is undefined.
struct Bool {
  uint8_t byte;
};

// The key of a NaN label of a float dtype. It poisons its list.
inline constexpr int64_t kNanLabel = INT64_MIN;

FRL_HD bool is_nan_label(int64_t key, LabelType type) {
  return key == kNanLabel && type >= LabelType::kHalf;
}

FRL_HD int64_t label_key(Bool label) { return label.byte != 0; }
FRL_HD int64_t label_key(uint8_t label) { return label; }
FRL_HD int64_t label_key(int8_t label) { return label; }
FRL_HD int64_t label_key(int16_t label) { return label; }
FRL_HD int64_t label_key(int32_t label) { return label; }
FRL_HD int64_t label_key(int64_t label) { return label; }
FRL_HD int64_t label_key(float label) {
  return label == label ? static_cast<int64_t>(ordered_key(label)) : kNanLabel;
}
FRL_HD int64_t label_key(double label) {
  if (label != label) return kNanLabel;
  return static_cast<int64_t>(ordered_key(label) ^ 0x8000000000000000ull);
}
FRL_HD int64_t label_key(Half label) { return label_key(to_float(label)); }
FRL_HD int64_t label_key(BFloat16 label) { return label_key(to_float(label)); }

FRL_HD double label_number(Bool label) { return label.byte != 0; }
template <typename Label>
FRL_HD double label_number(Label label) {
  if constexpr (std::is_integral_v<Label>) {
    return static_cast<double>(label);
  } else {
    return static_cast<double>(to_compute(label));
  }
}

// The value of the label with that key.
FRL_HD double label_value(int64_t key, LabelType type) {
  if (type < LabelType::kHalf) return static_cast<double>(key);
  if (type == LabelType::kDouble) {
    return value_of_key(static_cast<uint64_t>(key) ^ uint64_t{0x8000000000000000u});
  }
  return value_of_key(static_cast<uint32_t>(key));
}

// Calls `body` with a typed pointer to the labels.
template <typename Body>
FRL_HD decltype(auto) visit_labels(const void* labels, LabelType type, Body&& body) {
  switch (type) {
    case LabelType::kBool:
      return body(static_cast<const Bool*>(labels));
    case LabelType::kUInt8:
      return body(static_cast<const uint8_t*>(labels));
    case LabelType::kInt8:
      return body(static_cast<const int8_t*>(labels));
    case LabelType::kInt16:
      return body(static_cast<const int16_t*>(labels));
    case LabelType::kInt32:
      return body(static_cast<const int32_t*>(labels));
    case LabelType::kInt64:
      return body(static_cast<const int64_t*>(labels));
    case LabelType::kHalf:
      return body(static_cast<const Half*>(labels));
    case LabelType::kBFloat16:
      return body(static_cast<const BFloat16*>(labels));
    case LabelType::kFloat:
      return body(static_cast<const float*>(labels));
    default:
      return body(static_cast<const double*>(labels));
  }
}

FRL_HD int64_t label_key_at(const void* labels, LabelType type, int64_t slot) {
  return visit_labels(labels, type, [slot](const auto* typed) { return label_key(typed[slot]); });
}

}  // namespace fused_rankloss
