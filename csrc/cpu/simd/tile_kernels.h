// SPDX-License-Identifier: BSD-3-Clause
//
// Products of blocks of rows. A block is kTileSize rows in
// panels of kPanel: number k of row r is at panel[r / kPanel][k][r % kPanel], which serves as the
// left and as the right operand. Rows behind the last one are zeros.
#pragma once

#include <cstdint>

#include "cpu/simd/tile_sizes.h"

namespace fused_rankloss::cpu {

template <typename Real>
struct TileKernels {
  // tile[i, j] = sum_k a_ik b_jk, [kTileSize, kTileSize], of two blocks of `depth` numbers a row.
  void (*block_product)(const Real* a, const Real* b, int64_t depth, Real* tile);

  // out[i, d] += sum_j tile[i, j] rows[j, d], or the same with tile[j, i]; out is [kTileSize,
  // width] with a multiple of kWideColumns as width, and so are rows but for their stride.
  using AddTileProduct = void (*)(const Real* tile, const Real* rows, int64_t stride, int64_t width,
                                  Real* out);
  AddTileProduct add_product;
  AddTileProduct add_transposed_product;
};

}  // namespace fused_rankloss::cpu
