// SPDX-License-Identifier: BSD-3-Clause
//
// Exact comparisons in the storage precision.
//
// A pair (i, j) with label_i > label_j violates the margin when s_i < s_j + m. Evaluating s_j + m
// in the precision of the scores rounds it and flips pairs near the boundary. Evaluating every pair
// in fp64 costs half the vector lanes on a CPU and far more on a GPU. Instead, `reach(s_j, m)`
// rounds the fp64 sum once per item, downwards, to the precision of the scores. For every s_i of
// that precision
//
//   s_i <= s_j + m  <=>  s_i <= reach(s_j, m, inclusive = true)
//   s_i <  s_j + m  <=>  s_i <= reach(s_j, m, inclusive = false)
//
// so one comparison per pair, in fp32 or even between integer sort keys, gives the fp64 answer. If
// s_i is the rounded sum itself, the rounded difference s_i - s_j decides: next to scores of 1e17 a
// margin of 1 is lost in the sum, yet equal scores are closer than the margin. reach never falls as
// s_j rises.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "common/platform.h"

namespace fused_rankloss {

template <typename To, typename From>
FRL_HD To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

// Unsigned integers that sort as their floats do; -0.0 and 0.0 share a key.
FRL_HD uint32_t ordered_key(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value + 0.0f);
  return bits ^ (static_cast<uint32_t>(-static_cast<int32_t>(bits >> 31)) | 0x80000000u);
}

FRL_HD uint64_t ordered_key(double value) {
  const uint64_t bits = bit_cast<uint64_t>(value + 0.0);
  return bits ^ (static_cast<uint64_t>(-static_cast<int64_t>(bits >> 63)) | 0x8000000000000000ull);
}

FRL_HD float value_of_key(uint32_t key) {
  return bit_cast<float>(key ^ ((key >> 31) ? 0x80000000u : 0xffffffffu));
}

FRL_HD double value_of_key(uint64_t key) {
  return bit_cast<double>(key ^ ((key >> 63) ? 0x8000000000000000ull : 0xffffffffffffffffull));
}

// The next smaller number. Below -infinity comes a NaN, which compares false, as required. Towards
// zero the bits of a positive number fall, and those of a negative one rise.
FRL_HD float previous(float value) {
  const int32_t bits = bit_cast<int32_t>(value);
  return bit_cast<float>(value == 0.0f ? static_cast<int32_t>(0x80000001u)
                                       : bits - 1 - 2 * (bits >> 31));
}

FRL_HD double previous(double value) {
  const int64_t bits = bit_cast<int64_t>(value);
  return bit_cast<double>(value == 0.0 ? static_cast<int64_t>(0x8000000000000001ull)
                                       : bits - 1 - 2 * (bits >> 63));
}

// Whether a score at `sum`, the rounded score + margin, is no violation.
FRL_HD bool sum_is_too_far(double sum, double score, double margin, bool inclusive) {
  const double difference = sum - score;
  return inclusive ? difference > margin : !(difference < margin);
}

FRL_HD float reach(float score, double margin, bool inclusive) {
  const double sum = static_cast<double>(score) + margin;
  const float rounded = static_cast<float>(sum);
  // The direction of rounding is random, so select without a branch.
  const bool too_far = (static_cast<double>(rounded) > sum) |
                       ((static_cast<double>(rounded) == sum) &
                        sum_is_too_far(sum, static_cast<double>(score), margin, inclusive));
  const uint32_t mask = -static_cast<uint32_t>(too_far);
  const uint32_t bits = bit_cast<uint32_t>(rounded);
  return bit_cast<float>(bits ^ ((bits ^ bit_cast<uint32_t>(previous(rounded))) & mask));
}

// There is no wider type in which sums of fp64 scores are exact: by definition, s_j + m is rounded
// to nearest.
FRL_HD double reach(double score, double margin, bool inclusive) {
  const double sum = score + margin;
  return sum_is_too_far(sum, score, margin, inclusive) ? previous(sum) : sum;
}

}  // namespace fused_rankloss
