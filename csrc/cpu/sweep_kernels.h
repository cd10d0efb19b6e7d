// SPDX-License-Identifier: BSD-3-Clause
//
// All terms of the anchors of a block against the references of a block: what a tile of distances
// is worth. Anchors are the rows of the tile or its columns; threshold k of anchor t is at
// thresholds[k * kTileSize + t], -infinity where the anchor has fewer.
#pragma once

#include <cstdint>

#include "cpu/policy.h"

namespace fused_rankloss::cpu {

// What the terms of the anchors of a block add up to, [kTileSize] each.
struct SweepSums {
  double* value;
  double* slope;
  double* nonzero;
};

template <typename Tile>
struct SweepTerms {
  const Tile* thresholds;  // [num_thresholds, kTileSize]
  int64_t num_thresholds;
  Tile boundary;      // slope of a hinge at 0
  bool soft;          // softplus instead of hinge,
  Tile inverse_unit;  // of gaps in units of the tile times this
};

// Where the slopes of the terms go.
template <typename Tile>
struct SweepWeights {
  Tile* weights;      // [kTileSize, kTileSize], gets scale * slopes: weigh_rows writes,
                      // weigh_columns adds
  const Tile* scale;  // [kTileSize], by anchor
  double* slopes;     // [num_thresholds, kTileSize], gets each threshold's slopes added; or null
};

template <typename Tile>
struct SweepKernels {
  // Products become distances: q = row_norm_i + column_norm_j - dots_ij, not below 0, then
  // sqrt(2 q), 2 q or q. Rows with a q < closeness * (row_norm_i + column_norm_j) are marked.
  void (*distances)(const Tile* dots, Tile* tile, const Tile* row_norm, const Tile* column_norm,
                    int distance, Tile closeness, uint8_t* row_close);

  using Sum = void (*)(const Tile* distances, const SweepTerms<Tile>& terms, const SweepSums& sums);
  Sum sum_rows;
  Sum sum_columns;

  using Weigh = void (*)(const Tile* distances, const SweepTerms<Tile>& terms,
                         const SweepWeights<Tile>& to);
  Weigh weigh_rows;
  Weigh weigh_columns;

  // weights_ij /= distances_ij, 0 where that is 0.
  void (*divide)(Tile* weights, const Tile* distances);

  // rows[i] += sum_j weights_ij and columns[j] += sum_i weights_ij; either may be null.
  void (*add_weights)(const Tile* weights, double* rows, double* columns);

  // sums += recent, and recent = 0.
  void (*flush)(Tile* sums, Tile* recent, int64_t size);
};

}  // namespace fused_rankloss::cpu
