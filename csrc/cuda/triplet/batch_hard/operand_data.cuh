// SPDX-License-Identifier: BSD-3-Clause
//
// The operands of searches and sweeps, made by operands.cuh from the rows of a batch.
#pragma once

#include <cmath>

#include "cuda/primitives/mma.cuh"

namespace fused_rankloss::cuda::triplet {

inline constexpr int kSliceCells = 4;  // 64 bytes
inline constexpr int kSpreadExponent = 5;

// Attributes of a batch, computed and read on the device only.
struct SearchFacts {
  uint32_t exponent;      // of the largest spread of a column, plus kExponentOffset; 0: no spread
  uint32_t half_norm;     // H, as bits of an fp32
  uint32_t residual;      // R, as bits of an fp32
  uint32_t num_outliers;  // number of outlier references

  static constexpr int kExponentOffset = 2048;

  FRL_HD double scale() const {
    if (exponent == 0) return 1;
    return ldexp(1.0, kSpreadExponent - (static_cast<int>(exponent) - kExponentOffset));
  }
};

// Rows in label order. Padding rows, from num_rows to padded_rows, are treated as outliers.
struct SearchOperand {
  Halves8* cells;     // [padded_rows, num_slices, kSliceCells]
  float* half_norms;  // [padded_rows], h
  float* residuals;   // [padded_rows], r
  float* bounds;      // [padded_rows], (3) of operands.cuh
  int64_t num_rows;
  int64_t padded_rows;
};

struct SearchData {
  SearchOperand anchors;
  SearchOperand refs;  // the anchors, without references
  const SearchFacts* facts;
  const int32_t* outliers;  // positions of outlier references
  int num_slices;           // K slices
  int fp16_terms;           // 1 or 2: a K slice has 32 elements, or the hi and lo terms of 16
};

}  // namespace fused_rankloss::cuda::triplet
