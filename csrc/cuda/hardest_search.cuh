// SPDX-License-Identifier: BSD-3-Clause
//
// The search for each anchor's hardest positive and negative: all pairs on tensor cores, none ever
// stored. It finds candidates; which of them it is, hardest_choice.cuh decides by canonical
// distances.
//
// The hardness of a pair is e_ij of search_operands.cuh for a negative, -e_ij for a positive: the
// greatest is wanted, and what lies 2 bound_i below the greatest so far cannot be it.
//
// Mapping      A block has a block of rows and part of their column tiles. Columns are in label
//              order, so that all but a few tiles hold nothing but negatives (or, for large
//              classes, positives), of which no label is looked at. Where the references are the
//              anchors, pairs are symmetric: row block i meets the blocks i .. i + T / 2 (mod T),
//              and each pair counts for its row and for its column.
// Memory       Both operands pass through L2 once a tile. 144 bytes a row for the candidates.
// Value first  An element costs one maximum a side. Only where the maximum of a thread's part of a
//              row reaches the row's limit do its threads look which elements do.
// Candidates   kSearchSlots a row and side, by column, each the greatest of what came its way;
//              `rest` is the greatest that any slot gave up or refused. All are atomic maxima of
//              integers that sort as (hardness, column).
// Determinism  Which candidates are left depends on the schedule; that the winner is among them, or
//              that `rest` tells that it may not be, does not, and nothing else is used.
#pragma once

#include <algorithm>
#include <cfloat>

#include "cuda/tile_product.cuh"

namespace fused_rankloss {

// Candidates of one side; all 0 at first.
struct Candidates {
  unsigned long long* slots;  // [N, kSearchSlots], hardness above column
  uint32_t* best;             // [N], the greatest hardness
  uint32_t* rest;             // [N]
};

struct SearchParams {
  OrderedBatch ordered;
  SearchData data;
  Candidates negatives;
  Candidates positives;
  bool half_band;
  int32_t num_row_blocks;
  int32_t splits;  // blocks that share a row block's column tiles
};

__device__ __forceinline__ void add_candidate(const Candidates& to, int32_t row, int32_t column,
                                              float hardness) {
  const uint32_t key = ordered_key(hardness);
  const unsigned long long entry =
      static_cast<unsigned long long>(key) << 32 | static_cast<uint32_t>(column);
  const unsigned long long before =
      atomicMax(&to.slots[int64_t{row} * kSearchSlots + column % kSearchSlots], entry);
  const unsigned long long lost = before < entry ? before : entry;
  if (lost != 0) atomicMax(&to.rest[row], static_cast<uint32_t>(lost >> 32));
  atomicMax(&to.best[row], key);
}

// What a pair must reach to be a candidate of the row, by what is known so far.
__device__ __forceinline__ float candidate_limit(const Candidates& of, const float* bounds,
                                                 int32_t row) {
  // Other blocks write it: not to be taken from a register or the first-level cache.
  const uint32_t best = *const_cast<const volatile uint32_t*>(&of.best[row]);
  return best == 0 ? -FLT_MAX : value_of_key(best) - 2 * bounds[row];
}

template <int kPieces>
class HardestSearch {
  static constexpr ProductTile kTile = kSearchTile;
  using Product = TileProduct<kTile, kPieces>;
  static constexpr int kRowTiles = kTile.row_tiles;
  static constexpr int kColumnTiles = kTile.columns / 8;

  enum class Kind { kNegative, kPositive, kMixed };

 public:
  struct Shared {
    typename Product::Shared slabs;
    SharedArray<float, 2 * kTile.columns> column_limits;  // of this tile and the next
  };

  __device__ __forceinline__ HardestSearch(const SearchParams& params, Shared& shared)
      : params_(params),
        shared_(shared),
        first_row_(static_cast<int32_t>(blockIdx.x / params.splits * kTile.rows())),
        product_(shared.slabs, params.data.anchors, params.data.refs, params.data.num_slabs,
                 first_row_) {
    const int32_t rows = static_cast<int32_t>(params.ordered.batch.num_anchors);
    const int32_t end_row = first_row_ + kTile.rows() < rows ? first_row_ + kTile.rows() : rows;
    first_class_ = params.ordered.same_label[first_row_];
    last_class_ = params.ordered.same_label[end_row - 1];
  }

  __device__ __forceinline__ void run() {
    const int64_t tiles = num_tiles();
    const int64_t split = blockIdx.x % params_.splits;
    const int32_t begin = static_cast<int32_t>(tiles * split / params_.splits);
    const int32_t end = static_cast<int32_t>(tiles * (split + 1) / params_.splits);
    if (begin == end) return;
#pragma unroll
    for (int r = 0; r < 2 * kRowTiles; ++r) {
      limits_[r] = candidate_limit(params_.negatives, params_.data.anchors.bounds, row(r));
    }
    product_.start(column_of(begin));
#pragma unroll 1
    for (int32_t tile = begin; tile < end; ++tile) {
      const int32_t first_column = column_of(tile);
      // Each pair of a diagonal block is met twice, once in each direction.
      const bool two_sided =
          params_.half_band && first_column / kTile.rows() * kTile.rows() != first_row_;
      const Kind kind = kind_of(first_column);
      const Candidates& side = kind == Kind::kPositive ? params_.positives : params_.negatives;
      const int limits = tile % 2 * kTile.columns;
      if (two_sided && threadIdx.x < kTile.columns) {
        shared_.column_limits.store(limits + static_cast<int>(threadIdx.x),
                                    candidate_limit(side, params_.data.refs.bounds,
                                                    first_column + static_cast<int>(threadIdx.x)));
      }
      typename Product::Accumulators values;
      subtract_norms(values, first_column);
      product_.finish(values);
      if (tile + 1 < end) product_.start(column_of(tile + 1));  // runs on behind what follows

      if (kind == Kind::kMixed) {
        add_mixed(values, first_column, two_sided);
      } else {
        add_tile(values, kind, first_column, two_sided, limits);
      }
    }
  }

 private:
  // Thread's rows, r = 2 row_tile + upper or lower half.
  __device__ __forceinline__ int32_t row(int r) const {
    return first_row_ + Product::row(r / 2, r % 2 * 2);
  }

  __device__ __forceinline__ int32_t num_tiles() const {
    const int32_t tiles = static_cast<int32_t>(params_.data.refs.padded_rows / kTile.columns);
    if (!params_.half_band) return tiles;
    const int32_t blocks = params_.num_row_blocks;
    // The block half a turn ahead has this one half a turn ahead: half of them do both.
    const bool shared_last = blocks % 2 == 0 && first_row_ / kTile.rows() >= blocks / 2;
    return (blocks / 2 + (shared_last ? 0 : 1)) * (kTile.rows() / kTile.columns);
  }

  __device__ __forceinline__ int32_t column_of(int32_t tile) const {
    const int32_t column = tile * kTile.columns;
    if (!params_.half_band) return column;
    // Turned around without ever adding up to more than the size.
    const int32_t until_end = static_cast<int32_t>(params_.data.refs.padded_rows) - first_row_;
    return column < until_end ? first_row_ + column : column - until_end;
  }

  __device__ __forceinline__ Kind kind_of(int32_t first_column) const {
    const int32_t end_column = first_column + kTile.columns;
    // Both ends of the rows' classes ascend with the row.
    if (end_column <= first_class_.begin || last_class_.end <= first_column) return Kind::kNegative;
    const bool diagonal = params_.ordered.batch.self && first_column < first_row_ + kTile.rows() &&
                          first_row_ < end_column;
    const bool inside = last_class_.begin <= first_column && end_column <= first_class_.end;
    return inside && !diagonal && first_class_.size() > kDirectClass ? Kind::kPositive
                                                                     : Kind::kMixed;
  }

  __device__ __forceinline__ void subtract_norms(typename Product::Accumulators& values,
                                                 int32_t first_column) const {
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

  // Calls `body` with each column tile and the thread's values of it, (r, c): row r, column c. Rare
  // code should be small: the loop is not unrolled but turns the values, once around.
  template <typename Body>
  __device__ __forceinline__ static void for_column_tiles(typename Product::Accumulators& values,
                                                          Body body) {
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
  __device__ __forceinline__ void add_tile(typename Product::Accumulators& values, Kind kind,
                                           int32_t first_column, bool two_sided, int limits) {
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
          any |= column_most >= shared_.column_limits.load(limits + Product::column(n, c));
        }
      }
    }
    if (__any_sync(kAllLanes, any)) add_candidates(values, kind, first_column, two_sided, limits);
  }

  __device__ __forceinline__ void add_candidates(typename Product::Accumulators& values, Kind kind,
                                                 int32_t first_column, bool two_sided, int limits) {
    const Candidates& side = kind == Kind::kPositive ? params_.positives : params_.negatives;
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
          column_limit = fmaxf(shared_.column_limits.load(limits + Product::column(n, c)),
                               column_most - 2 * params_.data.refs.bounds[column]);
        }
#pragma unroll
        for (int r = 0; r < 2 * kRowTiles; ++r) {
          if (reaches(tile[r][c], row_limits[r])) add_candidate(side, row(r), column, tile[r][c]);
          if (reaches(tile[r][c], column_limit)) add_candidate(side, column, row(r), tile[r][c]);
        }
      }
    });
  }

  // Where classes begin and end: pair by pair.
  __device__ __forceinline__ void add_mixed(typename Product::Accumulators& values,
                                            int32_t first_column, bool two_sided) {
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
          if (hardness >= candidate_limit(side, params_.data.anchors.bounds, i)) {
            add_candidate(side, i, j, hardness);
          }
          if (two_sided && hardness >= candidate_limit(side, params_.data.refs.bounds, j)) {
            add_candidate(side, j, i, hardness);
          }
        }
      }
    });
  }

  const SearchParams& params_;
  Shared& shared_;
  int32_t first_row_;
  Product product_;
  Positions first_class_;        // of the block's first row
  Positions last_class_;         // and of its last
  float limits_[2 * kRowTiles];  // of the thread's rows, for negatives
};

template <int kPieces>
__global__ void __launch_bounds__(kSearchTile.threads(), kSearchBlocksEach)
    hardest_search_kernel(const __grid_constant__ SearchParams params) {
  __shared__ typename HardestSearch<kPieces>::Shared shared;
  HardestSearch<kPieces>(params, shared).run();
}

// ---- Launch -----------------------------------------------------------------

template <class Queue>
Candidates new_candidates(Queue& queue, int64_t rows) {
  Candidates candidates{queue.template allocate<unsigned long long>(rows * kSearchSlots),
                        queue.template allocate<uint32_t>(rows),
                        queue.template allocate<uint32_t>(rows)};
  queue.zero(candidates.slots, rows * kSearchSlots);
  queue.zero(candidates.best, rows);
  queue.zero(candidates.rest, rows);
  return candidates;
}

template <class Queue>
SearchParams launch_search(Queue& queue, const OrderedBatch& ordered, const SearchData& data,
                           int64_t half_band_rows) {
  const int64_t padded = data.anchors.padded_rows;
  SearchParams params{ordered, data, new_candidates(queue, padded), new_candidates(queue, padded)};
  params.num_row_blocks = static_cast<int32_t>(padded / kSearchTile.rows());
  params.half_band = ordered.batch.self && ordered.batch.num_anchors >= half_band_rows;
  const int64_t tiles = data.refs.padded_rows / kSearchTile.columns / (params.half_band ? 2 : 1);
  const int64_t wanted = ceil_div(kSearchBlocks, std::max(1, params.num_row_blocks));
  params.splits = static_cast<int32_t>(std::max<int64_t>(1, std::min(wanted, tiles)));
  const auto launch = [&](auto kernel) {
    queue.launch(int64_t{params.num_row_blocks} * params.splits, kSearchTile.threads(), kernel,
                 params);
  };
  if (data.pieces == 2) {
    launch(hardest_search_kernel<2>);
  } else {
    launch(hardest_search_kernel<1>);
  }
  return params;
}

}  // namespace fused_rankloss
