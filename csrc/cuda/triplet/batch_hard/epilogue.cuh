// SPDX-License-Identifier: BSD-3-Clause
//
// What every search for hardest pairs does with its tiles: what of a tile's products e_ij becomes a
// candidate. Which tiles there are, schedule.cuh says; how the products come about is the
// business of a Product, TileProduct or another one.
//
// The hardness of a pair is e_ij of operands.cuh for a negative, -e_ij for a positive: the
// greatest is wanted, and what lies 2 bound_i below the greatest so far cannot be it.
//
// Kinds        Columns are in label order, so that all but a few tiles hold nothing but negatives
//              (or, for large classes, positives), of which no label is looked at.
// Value first  An element costs one maximum a side. Only where the maximum of a thread's part of a
//              row reaches the row's limit do its threads look which elements do.
#pragma once

#include "cuda/triplet/batch_hard/schedule.cuh"

namespace fused_rankloss::cuda::triplet {

// One thread's view of a block's tiles.
//
// A Product has kRows, kColumns, kRowTiles, kColumnTiles, and tells the place row(), column() of
// each number of its Accumulators, FragmentC[kRowTiles][kColumnTiles].
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

  // What the columns of a tile must reach. There are two, so that a thread may write the limits of
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

  // Before the first tile.
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

  // By the first threads of those that share the tile, before a barrier of theirs.
  __device__ __forceinline__ void store_column_limits(const Tile& tile, Limits limits,
                                                      int thread) const {
    if (!tile.two_sided || thread >= Product::kColumns) return;
    limits.store(thread, candidate_limit(side_of(tile.kind), params_.data.refs.bounds,
                                         tile.first_column + thread));
  }

  // What the products are to be added to.
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

  // Adds what a tile's products have to say to the candidates.
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

  // Thread's rows, r = 2 row_tile + upper or lower half.
  __device__ __forceinline__ int32_t row(int r) const {
    return first_row() + Product::row(r / 2, r % 2 * 2);
  }

  __device__ __forceinline__ const Candidates& side_of(Kind kind) const {
    return kind == Kind::kPositive ? params_.positives : params_.negatives;
  }

  __device__ __forceinline__ Kind kind_of(int32_t first_column) const {
    const int32_t end_column = first_column + Product::kColumns;
    // Both ends of the rows' classes ascend with the row.
    if (end_column <= first_class_.begin || last_class_.end <= first_column) return Kind::kNegative;
    const bool diagonal = params_.ordered.batch.self &&
                          first_column < first_row() + Product::kRows && first_row() < end_column;
    const bool inside = last_class_.begin <= first_column && end_column <= first_class_.end;
    return inside && !diagonal && first_class_.size() > kDirectClass ? Kind::kPositive
                                                                     : Kind::kMixed;
  }

  // Calls `body` with each column tile and the thread's values of it, (r, c): row r, column c. Rare
  // code should be small: the loop is not unrolled but turns the values, once around.
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

  // Pairs with rows that take no part are infinitely easy or, negated, infinitely hard.
  __device__ __forceinline__ static bool reaches(float hardness, float limit) {
    return hardness >= limit && hardness < INFINITY;
  }
  __device__ __forceinline__ static float finite_max(float a, float b) {
    return b < INFINITY ? fmaxf(a, b) : a;
  }

  // A tile of one kind: all pairs count for the same side.
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
    // The greatest of a row's four lanes and a column's eight, too: what lies so far below it is
    // not worth an atomic.
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

  // Where classes begin and end: pair by pair.
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
  Positions last_class_;         // and of its last
  float limits_[2 * kRowTiles];  // of the thread's rows, for negatives
};

}  // namespace fused_rankloss::cuda::triplet
