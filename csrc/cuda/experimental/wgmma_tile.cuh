// SPDX-License-Identifier: BSD-3-Clause
//
// A warpgroup's products of 128 rows with 128 columns on Hopper, one chunk of shared memory at a
// time.
//
// Mapping      Row tile m has the rows 64 m .. 64 m + 63, 16 per warp. One instruction computes all
//              columns of a row tile.
// Memory       A chunk of a row is 128 bytes, two K slices of triplet/batch_hard/operands.cuh: four
//              steps of 16 elements, or two as hi and lo terms. It is 0 beyond the last K slice.
// Numerics     As in triplet/batch_hard/operands.cuh, per instruction: we assume that tensor cores
//              of Hopper also keep fp32's bits of the sum. Instructions that add 0 change nothing.
//
// Experimental: compiled only with FUSED_RANKLOSS_EXPERIMENTAL=1, used only with
// FUSED_RANKLOSS_HOPPER=1. hopper_search.h says what graduates it and what deletes it.
#pragma once

#include "cuda/experimental/sm90.cuh"
#include "cuda/triplet/batch_hard/operand_data.cuh"

namespace fused_rankloss::cuda {

template <int kFp16Terms>
class WgmmaProduct {
 public:
  static constexpr int kRows = kTileRows;
  static constexpr int kColumns = kTileRows;
  static constexpr int kRowTiles = kRows / kProductRows;
  static constexpr int kColumnTiles = kColumns / 8;

  using Accumulators = FragmentC[kRowTiles][kColumnTiles];

  // The row in the block and the column in the tile of an accumulator element.
  __device__ __forceinline__ static int row(int row_tile, int index) {
    return row_tile * kProductRows + warp_index() % kGroupWarps * 16 +
           FragmentC::row(lane_index(), index);
  }
  __device__ __forceinline__ static int column(int column_tile, int index) {
    return column_tile * 8 + FragmentC::column(lane_index(), index);
  }

  // Issues the products of a chunk, as one group.
  __device__ __forceinline__ static void add_chunk(Accumulators& sums, uint32_t rows,
                                                   uint32_t columns) {
    constexpr uint32_t kPart = 2 * kMmaDepth;  // bytes of 16 halves
    begin_products();
#pragma unroll
    for (uint32_t high = 0; high < kTileRowBytes; high += kFp16Terms * kPart) {
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        const uint32_t a = rows + m * kProductRows * kTileRowBytes + high, b = columns + high;
        multiply_tiles(sums[m], matrix_descriptor(a), matrix_descriptor(b));
        if constexpr (kFp16Terms == 2) {
          multiply_tiles(sums[m], matrix_descriptor(a), matrix_descriptor(b + kPart));
          multiply_tiles(sums[m], matrix_descriptor(a + kPart), matrix_descriptor(b));
        }
      }
    }
    commit_products();
  }
};

}  // namespace fused_rankloss::cuda
