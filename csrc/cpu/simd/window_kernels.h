// SPDX-License-Identifier: BSD-3-Clause
//
// The first look at the values of a tile: which of its rows or columns have one that matters.
//
// A value is the lower end of an interval, whose upper end is value + slack_t + its partner's
// slack. The window of row (column) t is open upwards from low_t and ends at threshold_t, the
// smallest upper end seen so far of a value above high_t; what lies between low and high may or may
// not be above the window's true lower end.
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

  // Marks the rows (columns) with a value inside their window, and lowers those windows' thresholds
  // to what the tile holds. Infinite values are in no window.
  using Look = void (*)(const float* values, const Windows& windows, uint8_t* reached);
  Look rows;
  Look columns;
};

}  // namespace fused_rankloss::cpu
