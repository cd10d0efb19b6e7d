// SPDX-License-Identifier: BSD-3-Clause
//
// A block's products a_i b_j of its rows with a tile of columns, on tensor cores: the first step of
// every search and sweep over pairs.
//
// Mapping      Each warp has 16 row_tiles of the rows and all columns. Row tile m, column tile n of
//              a thread are one FragmentC.
// Memory       Rows and columns pass through shared memory in K slices of 64 bytes, `stages` deep,
//              so that copies run ahead of products. Cell c of row r is at c ^ (r / 2 % 4). So cell
//              c of eight rows, which are one 8x8 matrix, are in different banks, and so are the
//              eight cells that a quarter of a warp copies.
// Numerics     operands.cuh. With two fp16 terms per element: hi hi + hi lo + lo hi.
#pragma once

#include "cuda/triplet/batch_hard/operand_data.cuh"

namespace fused_rankloss::cuda::triplet {

template <ProductTile kTile, int kFp16Terms>
class TileProduct {
 public:
  static constexpr int kRows = kTile.rows();
  static constexpr int kColumns = kTile.columns;
  static constexpr int kRowTiles = kTile.row_tiles;
  static constexpr int kColumnTiles = kTile.columns / 8;
  static constexpr int kStageRows = kTile.rows() + kTile.columns;

  using Shared = SharedArray<Halves8, kTile.stages * kStageRows * kSliceCells>;
  using Accumulators = FragmentC[kRowTiles][kColumnTiles];

  __device__ __forceinline__ TileProduct(Shared& shared, const SearchOperand& rows,
                                         const SearchOperand& columns, int num_slices,
                                         int64_t first_row)
      : shared_(shared),
        rows_(rows.cells + first_row * num_slices * kSliceCells),
        all_columns_(columns.cells),
        num_slices_(num_slices) {}

  // The row in the block and the column in the tile of an accumulator element.
  __device__ __forceinline__ static int row(int row_tile, int index) {
    return warp_index() * kTile.warp_rows() + row_tile * 16 + FragmentC::row(lane_index(), index);
  }
  __device__ __forceinline__ static int column(int column_tile, int index) {
    return column_tile * 8 + FragmentC::column(lane_index(), index);
  }

  // Starts to load a tile. Every thread of the block calls this, then finish() before the next
  // tile.
  __device__ __forceinline__ void start(int64_t first_column) {
    columns_ = all_columns_ + first_column * num_slices_ * kSliceCells;
    __syncthreads();  // all threads have read the previous tile
#pragma unroll
    for (int slice = 0; slice < kTile.stages - 1; ++slice) load(slice);
  }

  // Adds the products to the accumulators.
  __device__ __forceinline__ void finish(Accumulators& sums) {
#pragma unroll 1
    for (int slice = 0; slice < num_slices_; ++slice) {
      wait_for_copies<kTile.stages - 2>();
      __syncthreads();
      // Into the stage of the previous K slice, which all threads have read.
      load(slice + kTile.stages - 1);
      multiply(slice % kTile.stages, sums);
    }
  }

 private:
  __device__ __forceinline__ static int cell(int stage, int row, int chunk) {
    return (stage * kStageRows + row) * kSliceCells + (chunk ^ (row / 2 % kSliceCells));
  }

  __device__ __forceinline__ void load(int slice) {
    if (slice < num_slices_) {
#pragma unroll
      for (int first = 0; first < kStageRows * kSliceCells; first += kTile.threads()) {
        const int index = first + static_cast<int>(threadIdx.x);
        const int row = index / kSliceCells, chunk = index % kSliceCells;
        const Halves8* const from =
            row < kTile.rows() ? rows_ + int64_t{row} * num_slices_ * kSliceCells
                               : columns_ + int64_t{row - kTile.rows()} * num_slices_ * kSliceCells;
        copy_async(shared_, cell(slice % kTile.stages, row, chunk),
                   from + slice * kSliceCells + chunk);
      }
    }
    commit_copies();  // even if empty, so that groups and K slices have the same count
  }

  // Cells `chunk` and `chunk` + 1, 16 elements, of this warp's row tile.
  __device__ __forceinline__ FragmentA load_rows(int stage, int row_tile, int chunk) const {
    const int lane = lane_index();
    const int row = warp_index() * kTile.warp_rows() + row_tile * 16 + lane % 16;
    FragmentA fragment;
    load_matrices(fragment.registers, shared_, cell(stage, row, chunk + lane / 16));
    return fragment;
  }

  // The same for two column tiles.
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
    // One term: the K slice is two steps of 16 elements. Two: one step, as hi and lo terms.
#pragma unroll
    for (int step = 0; step < (kFp16Terms == 1 ? 2 : 1); ++step) {
      FragmentA rows[kFp16Terms][kRowTiles];
#pragma unroll
      for (int term = 0; term < kFp16Terms; ++term) {
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
          rows[term][m] = load_rows(stage, m, 2 * (step + term));
        }
      }
#pragma unroll
      for (int n = 0; n < kColumnTiles; n += 2) {
        FragmentB columns[kFp16Terms][2];
#pragma unroll
        for (int term = 0; term < kFp16Terms; ++term) {
          load_columns(stage, n, 2 * (step + term), columns[term]);
        }
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            mma(sums[m][n + i], rows[0][m], columns[0][i]);
            if constexpr (kFp16Terms == 2) {
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
  int num_slices_;
};

}  // namespace fused_rankloss::cuda::triplet
