// SPDX-License-Identifier: BSD-3-Clause
//
// A block's products a_i b_j of some rows with a tile of columns, on tensor cores: what every
// search and sweep over pairs starts with.
//
// Mapping      Warps share the rows, 16 row_tiles each, and meet all columns. Row tile m, column
//              tile n of a thread are those of one FragmentC.
// Memory       Rows and columns pass through shared memory in slabs of 64 bytes, `stages` deep, so
//              that copies run ahead of products. Cell c of row r lies at c ^ (r / 2 % 4): eight
//              rows' cells c, which one 8x8 matrix is, and the eight cells that a quarter of a warp
//              copies are in different banks.
// Numerics     operands.cuh. Two pieces a number: high high + high low + low high.
#pragma once

#include "cuda/triplet/batch_hard/operand_data.cuh"

namespace fused_rankloss::cuda::triplet {

template <ProductTile kTile, int kPieces>
class TileProduct {
 public:
  static constexpr int kRows = kTile.rows();
  static constexpr int kColumns = kTile.columns;
  static constexpr int kRowTiles = kTile.row_tiles;
  static constexpr int kColumnTiles = kTile.columns / 8;
  static constexpr int kStageRows = kTile.rows() + kTile.columns;

  using Shared = SharedArray<Halves8, kTile.stages * kStageRows * kSlabCells>;
  using Accumulators = FragmentC[kRowTiles][kColumnTiles];

  __device__ __forceinline__ TileProduct(Shared& shared, const SearchOperand& rows,
                                         const SearchOperand& columns, int num_slabs,
                                         int64_t first_row)
      : shared_(shared),
        rows_(rows.cells + first_row * num_slabs * kSlabCells),
        all_columns_(columns.cells),
        num_slabs_(num_slabs) {}

  // The row of the block, and the column of the tile, of an accumulator.
  __device__ __forceinline__ static int row(int row_tile, int index) {
    return warp_index() * kTile.warp_rows() + row_tile * 16 + FragmentC::row(lane_index(), index);
  }
  __device__ __forceinline__ static int column(int column_tile, int index) {
    return column_tile * 8 + FragmentC::column(lane_index(), index);
  }

  // Begins to load a tile. Every thread of the block calls this, and finish() before the next one.
  __device__ __forceinline__ void start(int64_t first_column) {
    columns_ = all_columns_ + first_column * num_slabs_ * kSlabCells;
    __syncthreads();  // everyone has read the tile before
#pragma unroll
    for (int slab = 0; slab < kTile.stages - 1; ++slab) load(slab);
  }

  // Adds the products to what the accumulators hold.
  __device__ __forceinline__ void finish(Accumulators& sums) {
#pragma unroll 1
    for (int slab = 0; slab < num_slabs_; ++slab) {
      wait_for_copies<kTile.stages - 2>();
      __syncthreads();
      load(slab + kTile.stages - 1);  // where everyone has read the slab before
      multiply(slab % kTile.stages, sums);
    }
  }

 private:
  __device__ __forceinline__ static int cell(int stage, int row, int chunk) {
    return (stage * kStageRows + row) * kSlabCells + (chunk ^ (row / 2 % kSlabCells));
  }

  __device__ __forceinline__ void load(int slab) {
    if (slab < num_slabs_) {
#pragma unroll
      for (int first = 0; first < kStageRows * kSlabCells; first += kTile.threads()) {
        const int index = first + static_cast<int>(threadIdx.x);
        const int row = index / kSlabCells, chunk = index % kSlabCells;
        const Halves8* const from =
            row < kTile.rows() ? rows_ + int64_t{row} * num_slabs_ * kSlabCells
                               : columns_ + int64_t{row - kTile.rows()} * num_slabs_ * kSlabCells;
        copy_async(shared_, cell(slab % kTile.stages, row, chunk),
                   from + slab * kSlabCells + chunk);
      }
    }
    commit_copies();  // an empty group keeps the count of groups that of slabs
  }

  // Chunks `chunk` and the next, 16 numbers, of this warp's row tile.
  __device__ __forceinline__ FragmentA load_rows(int stage, int row_tile, int chunk) const {
    const int lane = lane_index();
    const int row = warp_index() * kTile.warp_rows() + row_tile * 16 + lane % 16;
    FragmentA fragment;
    load_matrices(fragment.registers, shared_, cell(stage, row, chunk + lane / 16));
    return fragment;
  }

  // The same of two column tiles.
  __device__ __forceinline__ void load_columns(int stage, int column_tile, int chunk,
                                               FragmentB (&fragments)[2]) const {
    const int lane = lane_index();
    const int row = kTile.rows() + column_tile * 8 + lane / 16 * 8 + lane % 8;
    uint32_t registers[4];
    load_matrices(registers, shared_, cell(stage, row, chunk + lane / 8 % 2));
    fragments[0] = {{registers[0], registers[1]}};
    fragments[1] = {{registers[2], registers[3]}};
  }

  __device__ __forceinline__ void multiply(int stage, Accumulators& sums) {
    // One piece: the slab is two steps of 16 numbers. Two: one step, in high and low parts.
#pragma unroll
    for (int step = 0; step < (kPieces == 1 ? 2 : 1); ++step) {
      FragmentA rows[kPieces][kRowTiles];
#pragma unroll
      for (int piece = 0; piece < kPieces; ++piece) {
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
          rows[piece][m] = load_rows(stage, m, 2 * (step + piece));
        }
      }
#pragma unroll
      for (int n = 0; n < kColumnTiles; n += 2) {
        FragmentB columns[kPieces][2];
#pragma unroll
        for (int piece = 0; piece < kPieces; ++piece) {
          load_columns(stage, n, 2 * (step + piece), columns[piece]);
        }
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            mma(sums[m][n + i], rows[0][m], columns[0][i]);
            if constexpr (kPieces == 2) {
              mma(sums[m][n + i], rows[0][m], columns[1][i]);
              mma(sums[m][n + i], rows[1][m], columns[0][i]);
            }
          }
        }
      }
    }
  }

  Shared& shared_;
  const Halves8* rows_;
  const Halves8* all_columns_;
  const Halves8* columns_ = nullptr;
  int num_slabs_;
};

}  // namespace fused_rankloss::cuda::triplet
