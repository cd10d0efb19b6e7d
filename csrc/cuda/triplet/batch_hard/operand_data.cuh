// SPDX-License-Identifier: BSD-3-Clause
//
// What searches and sweeps read of a batch: what operands.cuh makes of its rows.
#pragma once

#include <cmath>

#include "cuda/primitives/mma.cuh"

namespace fused_rankloss::cuda::triplet {

inline constexpr int kSlabCells = 4;  // 64 bytes
inline constexpr int kSpreadExponent = 5;

// Facts about a batch that only the device knows.
struct SearchFacts {
  uint32_t exponent;   // of the largest spread of a column, plus kExponentOffset; 0: none has any
  uint32_t half_norm;  // H, as bits of an fp32
  uint32_t residual;   // R, as bits of an fp32
  uint32_t num_wild;   // wild references

  static constexpr int kExponentOffset = 2048;

  FRL_HD double scale() const {
    if (exponent == 0) return 1;
    return ldexp(1.0, kSpreadExponent - (static_cast<int>(exponent) - kExponentOffset));
  }
};

// Rows in label order. Those from num_rows to padded_rows are wild, too.
struct SearchOperand {
  Halves8* cells;     // [padded_rows, num_slabs, kSlabCells]
  float* half_norms;  // [padded_rows], h
  float* residuals;   // [padded_rows], r
  float* bounds;      // [padded_rows], (3) there
  int64_t num_rows;
  int64_t padded_rows;
};

struct SearchData {
  SearchOperand anchors;
  SearchOperand refs;  // the anchors, without references
  const SearchFacts* facts;
  const int32_t* wild;  // positions of wild references
  int num_slabs;
  int pieces;  // 1 or 2 fp16 a number: a slab is 32 numbers, or the high and low parts of 16
};

}  // namespace fused_rankloss::cuda::triplet
