// SPDX-License-Identifier: BSD-3-Clause
//
// Parameters of a search for hardest pairs, and the schedule of tiles of each block.
//
// Mapping      Each block has a block of rows and a range of their column tiles. If the references
//              are the anchors, pairs are symmetric, and the schedule is too (`symmetric`): row
//              block i of B has the column blocks i .. i + B / 2 (mod B), and each pair is a
//              candidate for both its row and its column.
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
  bool symmetric;  // symmetric schedule
  int32_t num_row_blocks;
  int32_t splits;  // blocks that divide the column tiles of the same rows
};

// The splits of a row block's tiles: enough for `blocks` blocks in all, each with at least
// `least_tiles` tiles.
inline int32_t splits_of(const SearchParams& params, int64_t columns, int64_t blocks,
                         int64_t least_tiles) {
  const int64_t tiles = params.data.refs.padded_rows / columns / (params.symmetric ? 2 : 1);
  const int64_t wanted = ceil_div(blocks, std::max(1, params.num_row_blocks));
  return static_cast<int32_t>(std::max<int64_t>(1, std::min(wanted, tiles / least_tiles)));
}

// One block's tiles. A Product has kRows rows per block and kColumns columns per tile.
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

  // The first column of a tile.
  __device__ __forceinline__ int32_t column_of(int32_t tile) const {
    const int32_t column = tile * Product::kColumns;
    if (!params_.symmetric) return column;
    // Modular addition without overflow.
    const int32_t until_end = columns() - first_row_;
    return column < until_end ? first_row_ + column : column - until_end;
  }

  // Whether the pairs of a tile are also candidates for their columns. Not within a block's own
  // rows, where each pair occurs in both directions.
  __device__ __forceinline__ bool two_sided(int32_t first_column) const {
    return params_.symmetric && first_column / Product::kRows * Product::kRows != first_row_;
  }

 private:
  __device__ __forceinline__ int32_t columns() const {
    return static_cast<int32_t>(params_.data.refs.padded_rows);
  }

  __device__ __forceinline__ int32_t num_tiles() const {
    if (!params_.symmetric) return columns() / Product::kColumns;
    const int32_t blocks = params_.num_row_blocks, block = first_row_ / Product::kRows;
    // For even B, blocks i and i + B / 2 would both have their common tiles: only i < B / 2 has
    // them.
    const bool shared_last = blocks % 2 == 0 && block >= blocks / 2;
    return (blocks / 2 + (shared_last ? 0 : 1)) * (Product::kRows / Product::kColumns);
  }

  const SearchParams& params_;
  int32_t first_row_;
};

}  // namespace fused_rankloss::cuda::triplet
