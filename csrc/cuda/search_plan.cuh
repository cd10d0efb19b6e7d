// SPDX-License-Identifier: BSD-3-Clause
//
// What a search for hardest pairs is given, and which tiles each of its blocks meets.
//
// Mapping      A block has a block of rows and part of their column tiles. The blocks of a cluster
//              have rows that follow each other, and meet the same column tiles in the same order:
//              one copy of a tile does for all of them. Where the references are the anchors, pairs
//              are symmetric: the rows of cluster i of C meet those of the clusters i .. i + C / 2
//              (mod C), and each pair counts for its row and for its column.
#pragma once

#include "cuda/ordered_batch.cuh"
#include "cuda/search_candidates.cuh"
#include "cuda/search_data.cuh"

namespace fused_rankloss {

struct SearchParams {
  OrderedBatch ordered;
  SearchData data;
  Candidates negatives;
  Candidates positives;
  bool half_band;
  int32_t num_row_blocks;
  int32_t splits;  // clusters that share the column tiles of the same rows
};

// One block's part. A Product has kRows a block and kColumns a tile. Blocks that follow each other
// in the grid are a cluster; there are num_clusters() of them.
template <class Product, int kClusterBlocks>
class SearchPlan {
  static constexpr int32_t kClusterRows = kClusterBlocks * Product::kRows;

 public:
  FRL_HD static int64_t num_clusters(const SearchParams& params) {
    return int64_t{all_rows(params)} * params.splits;
  }

  __device__ __forceinline__ explicit SearchPlan(const SearchParams& params)
      : params_(params), first_row_(cluster_row() + rank() * Product::kRows) {}

  // Of the block in its cluster.
  __device__ __forceinline__ int32_t rank() const {
    return static_cast<int32_t>(blockIdx.x % kClusterBlocks);
  }

  // Blocks of the cluster that have rows, the first of them: all, but in the last rows' clusters.
  __device__ __forceinline__ int32_t sharers() const {
    const int32_t left = params_.num_row_blocks - cluster_row() / Product::kRows;
    return left < kClusterBlocks ? left : kClusterBlocks;
  }
  __device__ __forceinline__ bool has_rows() const { return rank() < sharers(); }

  __device__ __forceinline__ int32_t first_row() const { return first_row_; }

  // The tiles, of the same number for all blocks of the cluster.
  __device__ __forceinline__ Positions range() const {
    const int64_t tiles = num_tiles();
    const int64_t split = blockIdx.x / kClusterBlocks % params_.splits;
    return {static_cast<int32_t>(tiles * split / params_.splits),
            static_cast<int32_t>(tiles * (split + 1) / params_.splits)};
  }

  // The first column of one of them.
  __device__ __forceinline__ int32_t column_of(int32_t tile) const {
    const int32_t column = tile * Product::kColumns;
    if (!params_.half_band) return column;
    // Turned around without ever adding up to more than the size.
    const int32_t until_end = columns() - cluster_row();
    return column < until_end ? cluster_row() + column : column - until_end;
  }

  // Whether its pairs count for their columns, too. Each pair of a cluster's own rows is met twice,
  // once in each direction.
  __device__ __forceinline__ bool two_sided(int32_t first_column) const {
    return params_.half_band && first_column / kClusterRows * kClusterRows != cluster_row();
  }

 private:
  // Clusters that it takes to have all rows.
  FRL_HD static int32_t all_rows(const SearchParams& params) {
    return (params.num_row_blocks + kClusterBlocks - 1) / kClusterBlocks;
  }

  __device__ __forceinline__ int32_t cluster_row() const {
    return static_cast<int32_t>(blockIdx.x / (kClusterBlocks * params_.splits)) * kClusterRows;
  }

  __device__ __forceinline__ int32_t columns() const {
    return static_cast<int32_t>(params_.data.refs.padded_rows);
  }

  __device__ __forceinline__ int32_t num_tiles() const {
    if (!params_.half_band) return columns() / Product::kColumns;
    const int32_t clusters = all_rows(params_), cluster = cluster_row() / kClusterRows;
    // The cluster half a turn ahead has this one half a turn ahead: half of them do both.
    const bool shared_last = clusters % 2 == 0 && cluster >= clusters / 2;
    const int32_t met = clusters / 2 + (shared_last ? 0 : 1);
    // The last cluster may have fewer rows than the others.
    const int32_t missing = cluster + met < clusters ? 0 : clusters * kClusterRows - columns();
    return (met * kClusterRows - missing) / Product::kColumns;
  }

  const SearchParams& params_;
  int32_t first_row_;
};

}  // namespace fused_rankloss
