// SPDX-License-Identifier: BSD-3-Clause
//
// Products of blocks of rows. A block is kTileSize rows in panels of kPanel: element k of row r is
// at panel[r / kPanel][k][r % kPanel]. This layout serves as the left and as the right operand.
// Rows behind the last one are zeros.
#pragma once

#include <cstdint>

#include "cpu/simd/tile_sizes.h"

namespace fused_rankloss::cpu {

template <typename Real>
struct TileKernels {
  // tile[i, j] = sum_k a_ik b_jk, [kTileSize, kTileSize], of two blocks with `depth` elements per
  // row.
  void (*block_product)(const Real* a, const Real* b, int64_t depth, Real* tile);

  // out[i, d] += sum_j tile[i, j] rows[j, d], or the same with tile[j, i]. `out` is [kTileSize,
  // width], where `width` is a multiple of kWideColumns. `rows` has the same shape, with row stride
  // `stride`.
  using AddTileProduct = void (*)(const Real* tile, const Real* rows, int64_t stride, int64_t width,
                                  Real* out);
  AddTileProduct add_product;
  AddTileProduct add_transposed_product;
};

}  // namespace fused_rankloss::cpu
