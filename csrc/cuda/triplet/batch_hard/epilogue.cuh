// SPDX-License-Identifier: BSD-3-Clause
//
// The epilogue of every search for hardest pairs: makes candidates from a tile's values e_ij.
// schedule.cuh defines the tiles; a Product, TileProduct or another one, computes the products.
//
// The hardness of a pair is e_ij of operands.cuh for a negative, -e_ij for a positive. The search
// is for the greatest hardness; pairs more than 2 bound_i below the greatest so far are excluded.
//
// Kinds        Columns are in label order, so that most tiles have only negatives (or, for large
//              classes, only positives), and their labels are not read.
// Value first  An element costs one maximum per side. Only if the maximum of a thread's elements of
//              a row reaches the row's limit, the warp compares single elements.
#pragma once

#include "cuda/triplet/batch_hard/schedule.cuh"

namespace fused_rankloss::cuda::triplet {

// One thread's view of a block's tiles.
//
// A Product has kRows, kColumns, kRowTiles, kColumnTiles, and row(), column(): the indices in the
// tile of each element of its Accumulators, FragmentC[kRowTiles][kColumnTiles].
template <class Product>
class SearchTiles {
  static constexpr int kRowTiles = Product::kRowTiles;
  static constexpr int kColumnTiles = Product::kColumnTiles;

  enum class Kind { kNegative, kPositive, kMixed };

 public:
  using Accumulators = typename Product::Accumulators;

  struct Tile {
    int32_t first_column;
    Kind kind;
    bool two_sided;
  };

  // The limits of the columns of a tile. Double-buffered, so that a thread may write the limits of
  // the next tile while others still read these.
  class Limits {
   public:
    using Shared = SharedArray<float, 2 * Product::kColumns>;

    __device__ __forceinline__ Limits(Shared& shared, int32_t tile)
        : shared_(shared), first_(tile % 2 * Product::kColumns) {}

    __device__ __forceinline__ float load(int column) const {
      return shared_.load(first_ + column);
    }
    __device__ __forceinline__ void store(int column, float limit) {
      shared_.store(first_ + column, limit);
    }

   private:
    Shared& shared_;
    int first_;
  };

  __device__ __forceinline__ explicit SearchTiles(const SearchParams& params)
      : params_(params), plan_(params) {}

  __device__ __forceinline__ const SearchPlan<Product>& plan() const { return plan_; }

  // Called before the first tile.
  __device__ __forceinline__ void load_rows() {
    const int32_t rows = static_cast<int32_t>(params_.ordered.batch.num_anchors);
    const int32_t end_row =
        first_row() + Product::kRows < rows ? first_row() + Product::kRows : rows;
    first_class_ = params_.ordered.same_label[first_row()];
    last_class_ = params_.ordered.same_label[end_row - 1];
#pragma unroll
    for (int r = 0; r < 2 * kRowTiles; ++r) {
      limits_[r] = candidate_limit(params_.negatives, params_.data.anchors.bounds, row(r));
    }
  }

  __device__ __forceinline__ Tile tile(int32_t index) const {
    const int32_t first_column = plan_.column_of(index);
    return {first_column, kind_of(first_column), plan_.two_sided(first_column)};
  }

  // Called by all threads that share the tile, before a barrier; the first kColumns of them store.
  __device__ __forceinline__ void store_column_limits(const Tile& tile, Limits limits,
                                                      int thread) const {
    if (!tile.two_sided || thread >= Product::kColumns) return;
    limits.store(thread, candidate_limit(side_of(tile.kind), params_.data.refs.bounds,
                                         tile.first_column + thread));
  }

  // Initialises the accumulators to -(h_i + h_j).
  __device__ __forceinline__ void subtract_norms(Accumulators& values, int32_t first_column) const {
    const float* const row_norms = params_.data.anchors.half_norms;
    const float* const column_norms = params_.data.refs.half_norms;
    float norms[2 * kRowTiles];
#pragma unroll
    for (int r = 0; r < 2 * kRowTiles; ++r) norms[r] = row_norms[row(r)];
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float norm = column_norms[first_column + Product::column(n, i)];
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
          values[m][n].values[i] = -(norms[2 * m + i / 2] + norm);
        }
      }
    }
  }

  // Adds the candidates of a tile.
  __device__ __forceinline__ void add(Accumulators& values, const Tile& tile,
                                      const Limits& limits) {
    if (tile.kind == Kind::kMixed) {
      add_mixed(values, tile.first_column, tile.two_sided);
    } else {
      add_tile(values, tile.kind, tile.first_column, tile.two_sided, limits);
    }
  }

 private:
  __device__ __forceinline__ int32_t first_row() const { return plan_.first_row(); }

  // The thread's row r = 2 row_tile + (0: upper, 1: lower half of the fragment).
  __device__ __forceinline__ int32_t row(int r) const {
    return first_row() + Product::row(r / 2, r % 2 * 2);
  }

  __device__ __forceinline__ const Candidates& side_of(Kind kind) const {
    return kind == Kind::kPositive ? params_.positives : params_.negatives;
  }

  __device__ __forceinline__ Kind kind_of(int32_t first_column) const {
    const int32_t end_column = first_column + Product::kColumns;
    // Begin and end of a row's class ascend with the row.
    if (end_column <= first_class_.begin || last_class_.end <= first_column) return Kind::kNegative;
    const bool diagonal = params_.ordered.batch.self &&
                          first_column < first_row() + Product::kRows && first_row() < end_column;
    const bool inside = last_class_.begin <= first_column && end_column <= first_class_.end;
    return inside && !diagonal && first_class_.size() > kDirectClass ? Kind::kPositive
                                                                     : Kind::kMixed;
  }

  // Calls `body` for each column tile with the thread's values of it, (r, c): row r, column c. This
  // code runs rarely and should be small: instead of unrolling, the loop rotates the values.
  template <typename Body>
  __device__ __forceinline__ static void for_column_tiles(Accumulators& values, Body body) {
#pragma unroll 1
    for (int n = 0; n < kColumnTiles; ++n) {
      float tile[2 * kRowTiles][2];
#pragma unroll
      for (int r = 0; r < 2 * kRowTiles; ++r) {
#pragma unroll
        for (int c = 0; c < 2; ++c) tile[r][c] = values[r / 2][0].values[r % 2 * 2 + c];
      }
      body(n, tile);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        const FragmentC first = values[m][0];
#pragma unroll
        for (int next = 1; next < kColumnTiles; ++next) values[m][next - 1] = values[m][next];
        values[m][kColumnTiles - 1] = first;
      }
    }
  }

  // Pairs with outlier rows have hardness -infinity or, negated, +infinity.
  __device__ __forceinline__ static bool reaches(float hardness, float limit) {
    return hardness >= limit && hardness < INFINITY;
  }
  __device__ __forceinline__ static float finite_max(float a, float b) {
    return b < INFINITY ? fmaxf(a, b) : a;
  }

  // A tile of one kind: all pairs are of the same side.
  __device__ __forceinline__ void add_tile(Accumulators& values, Kind kind, int32_t first_column,
                                           bool two_sided, const Limits& limits) {
    if (kind == Kind::kPositive) {
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
        for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) values[m][n].values[i] = -values[m][n].values[i];
        }
      }
    }
    bool any = false;
    float most[2 * kRowTiles];
#pragma unroll
    for (int r = 0; r < 2 * kRowTiles; ++r) {
      most[r] = -INFINITY;
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          most[r] = fmaxf(most[r], values[r / 2][n].values[r % 2 * 2 + c]);
        }
      }
      any |= kind == Kind::kPositive || most[r] >= limits_[r];
    }
    if (two_sided) {
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          float column_most = -INFINITY;
#pragma unroll
          for (int r = 0; r < 2 * kRowTiles; ++r) {
            column_most = fmaxf(column_most, values[r / 2][n].values[r % 2 * 2 + c]);
          }
          any |= column_most >= limits.load(Product::column(n, c));
        }
      }
    }
    if (__any_sync(kAllLanes, any)) add_candidates(values, kind, first_column, two_sided, limits);
  }

  __device__ __forceinline__ void add_candidates(Accumulators& values, Kind kind,
                                                 int32_t first_column, bool two_sided,
                                                 const Limits& limits) {
    const Candidates& side = side_of(kind);
    const float* const row_bounds = params_.data.anchors.bounds;
    // Raises the limits by the maximum over the row's four lanes and the column's eight lanes in
    // this tile, which saves atomics.
    float most[2 * kRowTiles];
#pragma unroll
    for (int r = 0; r < 2 * kRowTiles; ++r) most[r] = -INFINITY;
    for_column_tiles(values, [&](int, const float (&tile)[2 * kRowTiles][2]) {
#pragma unroll
      for (int r = 0; r < 2 * kRowTiles; ++r) {
        most[r] = finite_max(finite_max(most[r], tile[r][0]), tile[r][1]);
      }
    });
    float row_limits[2 * kRowTiles];
#pragma unroll
    for (int r = 0; r < 2 * kRowTiles; ++r) {
      most[r] = fmaxf(most[r], __shfl_xor_sync(kAllLanes, most[r], 1));
      most[r] = fmaxf(most[r], __shfl_xor_sync(kAllLanes, most[r], 2));
      row_limits[r] =
          fmaxf(candidate_limit(side, row_bounds, row(r)), most[r] - 2 * row_bounds[row(r)]);
      if (kind == Kind::kNegative) limits_[r] = row_limits[r];
    }
    for_column_tiles(values, [&](int n, const float (&tile)[2 * kRowTiles][2]) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int32_t column = first_column + Product::column(n, c);
        float column_limit = INFINITY;
        if (two_sided) {
          float column_most = -INFINITY;
#pragma unroll
          for (int r = 0; r < 2 * kRowTiles; ++r) {
            column_most = finite_max(column_most, tile[r][c]);
          }
#pragma unroll
          for (int lanes = 4; lanes < kWarpSize; lanes *= 2) {
            column_most = fmaxf(column_most, __shfl_xor_sync(kAllLanes, column_most, lanes));
          }
          column_limit = fmaxf(limits.load(Product::column(n, c)),
                               column_most - 2 * params_.data.refs.bounds[column]);
        }
#pragma unroll
        for (int r = 0; r < 2 * kRowTiles; ++r) {
          if (reaches(tile[r][c], row_limits[r])) {
            add_candidate(side, row(r), column, tile[r][c], row_limits[r]);
          }
          if (reaches(tile[r][c], column_limit)) {
            add_candidate(side, column, row(r), tile[r][c], column_limit);
          }
        }
      }
    });
  }

  // A tile in which classes begin or end: labels are compared for each pair.
  __device__ __forceinline__ void add_mixed(Accumulators& values, int32_t first_column,
                                            bool two_sided) {
    const OrderedBatch& ordered = params_.ordered;
    Positions same[2 * kRowTiles];
#pragma unroll
    for (int r = 0; r < 2 * kRowTiles; ++r) {
      same[r] = row(r) < ordered.batch.num_anchors ? ordered.same_label[row(r)] : Positions{0, 0};
    }
    for_column_tiles(values, [&](int n, const float (&tile)[2 * kRowTiles][2]) {
#pragma unroll
      for (int r = 0; r < 2 * kRowTiles; ++r) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const int32_t i = row(r), j = first_column + Product::column(n, c);
          const bool positive = same[r].contains(j);
          if (tile[r][c] == -INFINITY || ordered.is_self(i, j) ||
              (positive && same[r].size() <= kDirectClass)) {
            continue;
          }
          const Candidates& side = positive ? params_.positives : params_.negatives;
          const float hardness = positive ? -tile[r][c] : tile[r][c];
          const auto add = [&](const float* bounds, int32_t own, int32_t other) {
            const float limit = candidate_limit(side, bounds, own);
            if (hardness >= limit) add_candidate(side, own, other, hardness, limit);
          };
          add(params_.data.anchors.bounds, i, j);
          if (two_sided) add(params_.data.refs.bounds, j, i);
        }
      }
    });
  }

  const SearchParams& params_;
  SearchPlan<Product> plan_;
  Positions first_class_;        // of the block's first row
  Positions last_class_;         // of the block's last row
  float limits_[2 * kRowTiles];  // of the thread's rows, for negatives
};

}  // namespace fused_rankloss::cuda::triplet
