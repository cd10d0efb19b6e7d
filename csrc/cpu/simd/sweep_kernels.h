// SPDX-License-Identifier: BSD-3-Clause
//
// All terms of the anchors of a block against the references of a block: what a tile of distances
// is worth. Anchors are the rows of the tile or its columns; threshold k of anchor t is at
// thresholds[k * kTileSize + t], -infinity where the anchor has fewer.
#pragma once

#include <cstdint>

#include "cpu/simd/tile_sizes.h"

namespace fused_rankloss::cpu {

template <typename Tile>
struct SweepTerms {
  const Tile* thresholds;  // [num_thresholds, kTileSize]
  int64_t num_thresholds;
  Tile boundary;      // slope of a hinge at 0
  bool soft;          // softplus instead of hinge,
  Tile inverse_unit;  // of gaps in units of the tile times this
};

// Where the terms and their slopes go: sums are added to. Either of the two groups may be null.
template <typename Tile>
struct SweepResults {
  double* slopes;  // [num_thresholds, kTileSize], each threshold's slopes; may be null with weights

  double* value;    // [kTileSize], by anchor
  double* nonzero;  // [kTileSize]

  Tile* weights;      // [kTileSize, kTileSize], gets scale * slopes: visit_rows writes,
                      // visit_columns adds
  const Tile* scale;  // [kTileSize], by anchor
};

template <typename Tile>
struct SweepKernels {
  // Products become distances: q = row_norm_i + column_norm_j - dots_ij, not below 0, then
  // sqrt(2 q), 2 q or q. Rows with a q < closeness * (row_norm_i + column_norm_j) are marked.
  void (*distances)(const Tile* dots, Tile* tile, const Tile* row_norm, const Tile* column_norm,
                    int distance, Tile closeness, uint8_t* row_close);

  // All terms of the anchors that are the rows of the tile, or its columns.
  using Visit = void (*)(const Tile* distances, const SweepTerms<Tile>& terms,
                         const SweepResults<Tile>& to);
  Visit visit_rows;
  Visit visit_columns;

  // weights_ij /= distances_ij where asked to, and 0 where that is 0: coincident points pull
  // nowhere, which the difference of two rounded sums does not show. Then rows[i] += sum_j
  // weights_ij and columns[j] += sum_i weights_ij; either may be null.
  void (*finish_weights)(Tile* weights, const Tile* distances, bool divide, double* rows,
                         double* columns);

  // sums += recent, and recent = 0.
  void (*flush)(Tile* sums, Tile* recent, int64_t size);
};

}  // namespace fused_rankloss::cpu
