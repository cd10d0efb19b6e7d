// SPDX-License-Identifier: BSD-3-Clause
//
// Tiles of pairs for the sweeps: the products of a warp's 16 rows and 64 columns, stored to shared
// memory, so that the lanes can process the pairs of one row.
#pragma once

#include "cuda/triplet/sweep/state.cuh"

namespace fused_rankloss::cuda::triplet {

// Distances that are small relative to the norms have lost their bits to cancellation. Below this
// fraction of |a_i|^2 + |a_j|^2, a pair is compared directly.
inline constexpr float kSmallShare = 0x1p-6f;

// kFp16Terms 0: no products, all pairs are compared directly (fp64). Number: the type of the cells,
// which a kernel may overwrite after it has read them.
template <int kFp16Terms, typename Number = float>
class SweepTile {
  static constexpr ProductTile kTile = kSweepTile;
  static constexpr bool kHasProduct = kFp16Terms > 0;
  using Product = TileProduct<kTile, kHasProduct ? kFp16Terms : 1>;
  static constexpr int kColumnTiles = kTile.columns / 8;
  static constexpr int kStride = kTile.columns + 4;  // rows begin in different banks

 public:
  static constexpr int kRows = kTile.warp_rows();

  struct Shared {
    SharedArray<Halves8, kHasProduct ? kTile.stages * Product::kStageRows * kSliceCells : 1> slices;
    SharedArray<Number, kTile.rows() * kStride> values;
  };

  __device__ __forceinline__ SweepTile(const SearchOperand& rows, const SearchOperand& columns,
                                       const SearchFacts* facts, int num_slices, Shared& shared,
                                       int64_t first_row)
      : rows_(rows),
        columns_(columns),
        shared_(shared),
        num_slices_(num_slices),
        first_row_(first_row),
        key_scale_(2 / (facts->scale() * facts->scale())) {}

  // Computes the block's pairs with columns [first_column, first_column + 64). Every thread of the
  // block calls this. A warp may read its rows' values until it calls this again.
  __device__ __forceinline__ void compute(int64_t first_column) {
    first_column_ = first_column;
    if constexpr (kHasProduct) {
      if constexpr (std::is_same_v<decltype(shared_.slices), typename Product::Shared>) {
        Product product(shared_.slices, rows_, columns_, num_slices_, first_row_);
        product.start(first_column);
        typename Product::Accumulators values = {};
        product.finish(values);
#pragma unroll
        for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int row = Product::row(0, i), column = Product::column(n, i);
            const float norms =
                rows_.half_norms[first_row_ + row] + columns_.half_norms[first_column + column];
            shared_.values.store(row * kStride + column, values[0][n].values[i] - norms);
          }
        }
        __syncwarp();
      }
    }
  }

  // The warp's row r.
  __device__ __forceinline__ int64_t row(int r) const {
    return first_row_ + warp_index() * kRows + r;
  }

  // -s^2 d^2 / 2 of a pair; -infinity if the pair needs a direct comparison.
  __device__ __forceinline__ float value(int r, int column) const {
    if constexpr (!kHasProduct) return -INFINITY;
    return static_cast<float>(load(r, column));
  }
  __device__ __forceinline__ Number load(int r, int column) const {
    return shared_.values.load(cell(r, column));
  }
  __device__ __forceinline__ void store(int r, int column, Number number) const {
    shared_.values.store(cell(r, column), number);
  }

  __device__ __forceinline__ double key(float value) const {
    const double key = -key_scale_ * static_cast<double>(value);
    return key > 0 ? key : 0;
  }
  // The error bound of a key, from an anchor's bound.
  __device__ __forceinline__ double key_bound(float bound) const {
    return kHasProduct ? key_scale_ * static_cast<double>(bound) : 0;
  }
  __device__ __forceinline__ bool is_small(int r, int column, float value) const {
    if constexpr (!kHasProduct) return true;
    const float norms = rows_.half_norms[row(r)] + columns_.half_norms[first_column_ + column];
    return !(-value >= kSmallShare * norms) || value == -INFINITY;
  }

 private:
  __device__ __forceinline__ static int cell(int r, int column) {
    return (warp_index() * kRows + r) * kStride + column;
  }

  const SearchOperand& rows_;
  const SearchOperand& columns_;
  Shared& shared_;
  int num_slices_;
  int64_t first_row_;
  int64_t first_column_ = 0;
  double key_scale_;
};

// Replaces the keys of lanes with `asks` by the canonical keys of their pairs (anchor, ref). All
// lanes of a warp call this.
__device__ __forceinline__ void compare_directly(const OrderedBatch& ordered, bool asks,
                                                 int64_t anchor, int64_t ref, double& key) {
  unsigned asking = __ballot_sync(kAllLanes, asks);
  while (asking != 0) {
    const int owner = __ffs(static_cast<int>(asking)) - 1;
    asking &= asking - 1;
    const double exact = canonical_key(ordered, __shfl_sync(kAllLanes, anchor, owner),
                                       __shfl_sync(kAllLanes, ref, owner));
    if (lane_index() == owner) key = exact;
  }
}

}  // namespace fused_rankloss::cuda::triplet
