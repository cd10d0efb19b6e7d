// SPDX-License-Identifier: BSD-3-Clause
//
// The inner loops of the triplet losses. The same sources (row_, tile_, sweep_ and
// window_kernels.inl) are
// compiled once per instruction set, as pair_loops.h is.
#pragma once

#include "cpu/simd/row_kernels.h"
#include "cpu/simd/sweep_kernels.h"
#include "cpu/simd/tile_kernels.h"
#include "cpu/simd/window_kernels.h"
#include "losses/distance.h"

namespace fused_rankloss::cpu {

struct TripletKernels {
  const char* isa;
  RowKernels<float> floats;
  RowKernels<double> doubles;
  TileKernels<float> float_tiles;
  TileKernels<double> double_tiles;
  SweepKernels<float> float_sweeps;
  SweepKernels<double> double_sweeps;
  WindowKernels windows;

  template <typename Real>
  const RowKernels<Real>& rows() const {
    if constexpr (sizeof(Real) == sizeof(float)) {
      return floats;
    } else {
      return doubles;
    }
  }

  template <typename Real>
  const TileKernels<Real>& tiles() const {
    if constexpr (sizeof(Real) == sizeof(float)) {
      return float_tiles;
    } else {
      return double_tiles;
    }
  }

  template <typename Real>
  const SweepKernels<Real>& sweeps() const {
    if constexpr (sizeof(Real) == sizeof(float)) {
      return float_sweeps;
    } else {
      return double_sweeps;
    }
  }
};

// Those of the chosen instruction set (cpu/simd/isa.h).
const TripletKernels& triplet_kernels();

}  // namespace fused_rankloss::cpu
