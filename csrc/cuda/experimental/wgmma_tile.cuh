// SPDX-License-Identifier: BSD-3-Clause
//
// A warpgroup's products of 128 rows with 128 columns on Hopper, chunk by chunk of what lies in
// shared memory.
//
// Mapping      Row tile m has the rows 64 m .. 64 m + 63, of which warp w has 16: one instruction,
//              all columns.
// Memory       A chunk of a row is 128 bytes, two slabs of triplet/batch_hard/operands.cuh: four
// steps of 16
//              numbers, or two in high and low parts. Beyond the last slab of a row it is 0.
// Numerics     triplet/batch_hard/operands.cuh, instruction by instruction: tensor cores of Hopper,
// too, are
//              taken to keep fp32's bits of what they add up. Instructions that add 0 move nothing.
//
// Experimental: compiled only with FUSED_RANKLOSS_EXPERIMENTAL=1, taken only with
// FUSED_RANKLOSS_HOPPER=1. hopper_search.h says what graduates it and what deletes it.
#pragma once

#include "cuda/experimental/sm90.cuh"
#include "cuda/triplet/batch_hard/operand_data.cuh"

namespace fused_rankloss::cuda {

template <int kPieces>
class WgmmaProduct {
 public:
  static constexpr int kRows = kTileRows;
  static constexpr int kColumns = kTileRows;
  static constexpr int kRowTiles = kRows / kProductRows;
  static constexpr int kColumnTiles = kColumns / 8;

  using Accumulators = FragmentC[kRowTiles][kColumnTiles];

  // The row of the block, and the column of the tile, of an accumulator.
  __device__ __forceinline__ static int row(int row_tile, int index) {
    return row_tile * kProductRows + warp_index() % kGroupWarps * 16 +
           FragmentC::row(lane_index(), index);
  }
  __device__ __forceinline__ static int column(int column_tile, int index) {
    return column_tile * 8 + FragmentC::column(lane_index(), index);
  }

  // Begins to add the products of a chunk, as one group.
  __device__ __forceinline__ static void add_chunk(Accumulators& sums, uint32_t rows,
                                                   uint32_t columns) {
    constexpr uint32_t kPart = 2 * kMmaDepth;  // bytes of 16 halves
    begin_products();
#pragma unroll
    for (uint32_t high = 0; high < kTileRowBytes; high += kPieces * kPart) {
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        const uint32_t a = rows + m * kProductRows * kTileRowBytes + high, b = columns + high;
        multiply_tiles(sums[m], matrix_descriptor(a), matrix_descriptor(b));
        if constexpr (kPieces == 2) {
          multiply_tiles(sums[m], matrix_descriptor(a), matrix_descriptor(b + kPart));
          multiply_tiles(sums[m], matrix_descriptor(a + kPart), matrix_descriptor(b));
        }
      }
    }
    commit_products();
  }
};

}  // namespace fused_rankloss::cuda
