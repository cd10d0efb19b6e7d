// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients in the making: for every row, the other rows times their weights, added up tile by tile
// as products of matrices.
#pragma once

#include <vector>

#include "cpu/simd/tile_sizes.h"
#include "cpu/triplet/panels.h"
#include "cpu/triplet/policy.h"

namespace fused_rankloss::cpu::triplet {

template <typename Real>
class RowSums {
 public:
  RowSums(const Panels<Real>& panels, const Team& team)
      : width((panels.dim + kWideColumns - 1) / kWideColumns * kWideColumns),
        // Rows at a power of two apart would share a few sets of the cache.
        stride(width + 64 / sizeof(Real)),
        weights(panels.num_blocks * kTileSize),
        rows_(panels.num_blocks * kTileSize * stride),
        sums_(panels.num_blocks * kTileSize * width),
        recent_(sums_.size()),
        tiles_(panels.num_blocks) {
    team.run(panels.num_blocks * kTileSize / kPanel, [&](int64_t panel, int) {
      const Real* from = panels.data.data() + panel * kPanel * panels.dim;
      Real* to = rows_.data() + panel * kPanel * stride;
      for (int64_t d = 0; d < panels.dim; ++d) {
        for (int64_t r = 0; r < kPanel; ++r) to[r * stride + d] = from[d * kPanel + r];
      }
    });
  }

  // The rows as they are in the panels, one after another.
  const Real* block(int64_t index) const { return rows_.data() + index * kTileSize * stride; }
  const Real* row(int64_t position) const { return rows_.data() + position * stride; }

  // The sums of a row or a block that end_tile() closes.
  Real* recent_of(int64_t position) { return recent_.data() + position * width; }
  Real* recent_block(int64_t index) { return recent_of(index * kTileSize); }

  void end_tile(int64_t index, const SweepKernels<Real>& kernels) {
    if (++tiles_[index] % kRecentTiles != 0) return;
    const int64_t first = index * kTileSize * width;
    kernels.flush(sums_.data() + first, recent_.data() + first, kTileSize * width);
  }

  // sum_j S_ij (x_j - x_i) of row i.
  void pull(int64_t position, int64_t dim, double* to) const {
    const Real *sums = sums_.data() + position * width, *recent = recent_.data() + position * width;
    const Real* own = row(position);
    for (int64_t d = 0; d < dim; ++d) {
      const double sum = static_cast<double>(sums[d]) + static_cast<double>(recent[d]);
      to[d] = sum - weights[position] * static_cast<double>(own[d]);
    }
  }

  int64_t width;
  int64_t stride;
  std::vector<double> weights;  // [rows], sum_j S_ij

 private:
  std::vector<Real> rows_;      // [rows, stride]
  std::vector<Real> sums_;      // [rows, width], sum_j S_ij x_j
  std::vector<Real> recent_;    // [rows, width], of the last few tiles, not yet in `sums_`
  std::vector<int64_t> tiles_;  // [blocks], tiles so far
};

}  // namespace fused_rankloss::cpu::triplet
