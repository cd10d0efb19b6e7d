// SPDX-License-Identifier: BSD-3-Clause
//
// What a search for hardest pairs is given, and which tiles each of its blocks meets.
//
// Mapping      A block has a block of rows and part of their column tiles. Where the references are
//              the anchors, pairs are symmetric: the rows of block i of B meet those of the blocks
//              i .. i + B / 2 (mod B), and each pair counts for its row and for its column.
#pragma once

#include <algorithm>

#include "cuda/triplet/batch_hard/candidates.cuh"
#include "cuda/triplet/batch_hard/operand_data.cuh"
#include "cuda/triplet/ordered_batch.cuh"

namespace fused_rankloss::cuda::triplet {

struct SearchParams {
  OrderedBatch ordered;
  SearchData data;
  Candidates negatives;
  Candidates positives;
  bool half_band;
  int32_t num_row_blocks;
  int32_t splits;  // blocks that share the column tiles of the same rows
};

// How many blocks share a row block's tiles: enough for so many blocks, of so many tiles at least.
inline int32_t splits_of(const SearchParams& params, int64_t columns, int64_t blocks,
                         int64_t least_tiles) {
  const int64_t tiles = params.data.refs.padded_rows / columns / (params.half_band ? 2 : 1);
  const int64_t wanted = ceil_div(blocks, std::max(1, params.num_row_blocks));
  return static_cast<int32_t>(std::max<int64_t>(1, std::min(wanted, tiles / least_tiles)));
}

// One block's part. A Product has kRows a block and kColumns a tile.
template <class Product>
class SearchPlan {
 public:
  __device__ __forceinline__ explicit SearchPlan(const SearchParams& params)
      : params_(params),
        first_row_(static_cast<int32_t>(blockIdx.x / params.splits) * Product::kRows) {}

  __device__ __forceinline__ int32_t first_row() const { return first_row_; }

  __device__ __forceinline__ Positions tiles() const {
    const int64_t tiles = num_tiles();
    const int64_t split = blockIdx.x % params_.splits;
    return {static_cast<int32_t>(tiles * split / params_.splits),
            static_cast<int32_t>(tiles * (split + 1) / params_.splits)};
  }

  // The first column of one of them.
  __device__ __forceinline__ int32_t column_of(int32_t tile) const {
    const int32_t column = tile * Product::kColumns;
    if (!params_.half_band) return column;
    // Turned around without ever adding up to more than the size.
    const int32_t until_end = columns() - first_row_;
    return column < until_end ? first_row_ + column : column - until_end;
  }

  // Whether its pairs count for their columns, too. Each pair of a block's own rows is met twice,
  // once in each direction.
  __device__ __forceinline__ bool two_sided(int32_t first_column) const {
    return params_.half_band && first_column / Product::kRows * Product::kRows != first_row_;
  }

 private:
  __device__ __forceinline__ int32_t columns() const {
    return static_cast<int32_t>(params_.data.refs.padded_rows);
  }

  __device__ __forceinline__ int32_t num_tiles() const {
    if (!params_.half_band) return columns() / Product::kColumns;
    const int32_t blocks = params_.num_row_blocks, block = first_row_ / Product::kRows;
    // The block half a turn ahead has this one half a turn ahead: half of them do both.
    const bool shared_last = blocks % 2 == 0 && block >= blocks / 2;
    return (blocks / 2 + (shared_last ? 0 : 1)) * (Product::kRows / Product::kColumns);
  }

  const SearchParams& params_;
  int32_t first_row_;
};

}  // namespace fused_rankloss::cuda::triplet
