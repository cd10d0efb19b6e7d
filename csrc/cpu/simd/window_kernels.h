// SPDX-License-Identifier: BSD-3-Clause
//
// Filters a tile: which of its rows or columns have a value inside their window.
//
// A value is the lower end of an interval, whose upper end is value + slack_t + its partner's
// slack. The window of row (column) t is (low_t, threshold_t], where threshold_t is the smallest
// upper end so far of a value above high_t. Values between low and high may or may not be above the
// window's true lower end.
#pragma once

#include <cstdint>

#include "cpu/simd/tile_sizes.h"

namespace fused_rankloss::cpu {

// All [kTileSize].
struct Windows {
  const float* slack;
  const float* partner_slack;
  const float* low;
  const float* high;
  float* threshold;
};

struct WindowKernels {
  // tile[i, j] becomes value_ij = row_bias_i + column_bias_j + sign * tile[i, j].
  void (*values)(float* tile, float sign, const float* row_bias, const float* column_bias);

  // Marks the rows (columns) with a value inside their window. Lowers the thresholds of those
  // windows to the smallest upper end in the tile. Infinite values are in no window.
  using Look = void (*)(const float* values, const Windows& windows, uint8_t* reached);
  Look rows;
  Look columns;
};

}  // namespace fused_rankloss::cpu
