// SPDX-License-Identifier: BSD-3-Clause
//
// The 16-bit floats as bits, with the conversions for host and device. Kernels load them as fp32,
// compute in it, and round to nearest even when they store.
#pragma once

#include "common/ordered.h"

namespace fused_rankloss {

// The dtype in which scores and embeddings are stored.
enum class ScoreType : int32_t { kHalf, kBFloat16, kFloat, kDouble };

struct BFloat16 {
  uint16_t bits;
};

struct Half {
  uint16_t bits;
};

FRL_HD float to_float(BFloat16 value) {
  return bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

FRL_HD float to_float(Half value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Shifting the half's fields into fp32 leaves the exponent 112 too low. A product with 2^112
  // corrects it, and also normalises subnormal halves.
  const float scaled = bit_cast<float>(magnitude << 13) * 0x1p112f;
  return bit_cast<float>(sign | bit_cast<uint32_t>(scaled));
}

FRL_HD float to_float(float value) { return value; }

template <typename T>
FRL_HD T from_float(float value);

template <>
FRL_HD float from_float<float>(float value) {
  return value;
}

template <>
FRL_HD BFloat16 from_float<BFloat16>(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value);
  if (value != value) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

template <>
FRL_HD Half from_float<Half>(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};   // NaN
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // rounds to inf
  if (magnitude < 0x38800000u) {
    // Below the smallest normal half: adding 0.5 puts the half's last bit at fp32's last bit, and
    // the addition itself rounds to nearest even.
    const float shifted = bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
  return {static_cast<uint16_t>(sign | (rounded - 0x38000000u) >> 13)};
}

// The type the kernels compute a score in: fp64 stays fp64, everything else is exact in fp32.
template <typename T>
struct ComputeType {
  using type = float;
};
template <>
struct ComputeType<double> {
  using type = double;
};
template <typename T>
using compute_t = typename ComputeType<T>::type;

FRL_HD double to_compute(double value) { return value; }
template <typename T>
FRL_HD float to_compute(T value) {
  return to_float(value);
}

// Rounds an fp64 result to the type it is stored in (fp16 and bf16 via fp32).
template <typename T>
FRL_HD T round_to(double value) {
  return from_float<T>(static_cast<float>(value));
}
template <>
FRL_HD double round_to<double>(double value) {
  return value;
}

}  // namespace fused_rankloss
