// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients of all triplets, recomputed tile by tile and never stored:
//
//   grad_i = sum_j (w_ij + w_ji) (z_i - z_j)                                                  (1)
//
// with w of weights.cuh and z the rows (normalised for cosine). w_ij is present if row i is an
// anchor and row j a reference, w_ji if row j is an anchor and row i a reference; without
// references both are. With references, one launch computes the anchors' gradients, another the
// references'. For cosine the gradient is (g - (g z_i) z_i) / |x_i|, where g is (1).
//
// Mapping      A block has 64 rows and 64 (fp64: 32) elements of their gradients. For each tile of
//              64 rows j: each warp stores the weights of its 16 rows to shared memory, one pair
//              per lane; then each lane sums (1) for two elements of 16 rows. Columns j without
//              weight are skipped.
// Memory       sums of (1), one fp32 (fp64) per element, accumulated over the rounds
// Numerics     differences and sums of (1) in fp32 (fp64); never |x|^2 - xy
// Determinism  one lane computes a sum, in the order of j
#pragma once

#include <optional>

#include "cuda/triplet/sweep/weights.cuh"

namespace fused_rankloss::cuda::triplet {

// Elements of a row's gradient per block.
template <typename Real>
inline constexpr int kGradientColumns = kGradientBytes / static_cast<int>(sizeof(Real));

struct GradientParams {
  WeightsParams weights;
  bool rows_are_anchors;
  bool rows_are_refs;
  void* sums;             // [rows, D], by position
  int32_t column_blocks;  // blocks of gradient columns

  FRL_HD const SearchOperand& rows() const {
    return rows_are_anchors ? weights.sweep.data.anchors : weights.sweep.data.refs;
  }
  FRL_HD const SearchOperand& columns() const {
    return rows_are_refs ? weights.sweep.data.anchors : weights.sweep.data.refs;
  }
};

// Elements of rows of any storage type, converted to Real and normalised for cosine.
template <typename Real>
class AnyRows {
 public:
  __device__ __forceinline__ AnyRows(const OrderedBatch& ordered, bool anchors)
      : ordered_(ordered),
        rows_(anchors ? ordered.batch.embeddings : ordered.batch.refs),
        order_(anchors ? ordered.anchors : ordered.refs),
        inverses_(anchors ? ordered.anchor_inverses : ordered.ref_inverses) {}

  __device__ __forceinline__ Real operator()(int64_t position, int64_t d) const {
    const int64_t at = order_[position] * ordered_.batch.dim + d;
    const double inverse = ordered_.is_cosine() ? inverses_[position] : 1;
    switch (ordered_.batch.type) {
      case ScoreType::kHalf:
        return number(to_compute(static_cast<const Half*>(rows_)[at]), inverse);
      case ScoreType::kBFloat16:
        return number(to_compute(static_cast<const BFloat16*>(rows_)[at]), inverse);
      case ScoreType::kFloat:
        return number(static_cast<const float*>(rows_)[at], inverse);
      default:
        return number(static_cast<const double*>(rows_)[at], inverse);
    }
  }
  __device__ __forceinline__ double inverse(int64_t position) const { return inverses_[position]; }
  __device__ __forceinline__ int64_t index(int64_t position) const { return order_[position]; }

 private:
  template <typename T>
  __device__ __forceinline__ Real number(T value, double inverse) const {
    if (!ordered_.is_cosine()) return static_cast<Real>(value);
    return static_cast<Real>(exact::mul(static_cast<double>(value), inverse));
  }

  const OrderedBatch& ordered_;
  const void* rows_;
  const int32_t* order_;
  const double* inverses_;
};

// ---- Kernel -----------------------------------------------------------------

// Which of row and column is the anchor and which the reference.
struct PairRoles {
  bool row_is_anchor;
  int64_t row, column;

  __device__ __forceinline__ int64_t anchor() const { return row_is_anchor ? row : column; }
  __device__ __forceinline__ int64_t ref() const { return row_is_anchor ? column : row; }
};

template <int kFp16Terms, typename Real>
class SweepGradients {
  using Tile = SweepTile<kFp16Terms, Real>;
  static constexpr int kRows = Tile::kRows;
  static constexpr int kColumns = kSweepTile.columns;
  static constexpr int kShare = kGradientColumns<Real> / kWarpSize;  // elements of a row per lane

 public:
  // The weight of a pair overwrites its product.
  using Shared = typename Tile::Shared;

  __device__ __forceinline__ SweepGradients(const GradientParams& params, Shared& shared)
      : params_(params),
        ordered_(params.weights.sweep.state.ordered),
        first_row_(int64_t{blockIdx.x} / params.column_blocks * kSweepTile.rows()),
        first_element_(int64_t{blockIdx.x % params.column_blocks} * kGradientColumns<Real>),
        tile_(params.rows(), params.columns(), params.weights.sweep.data.facts,
              params.weights.sweep.data.num_slices, shared, first_row_) {}

  __device__ __forceinline__ void run() {
    const AnyRows<Real> rows(ordered_, params_.rows_are_anchors);
    const AnyRows<Real> columns(ordered_, params_.rows_are_refs);
    Real own[kRows][kShare], sums[kRows][kShare];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int e = 0; e < kShare; ++e) {
        own[r][e] = is_real(r, e) ? rows(tile_.row(r), element(e)) : 0;
        sums[r][e] = 0;
      }
    }
    const int64_t num_columns = params_.columns().num_rows;
#pragma unroll 1
    for (int64_t first = 0; first < num_columns; first += kColumns) {
      tile_.compute(first);
      uint64_t weighty = weigh(first);
#pragma unroll 1
      while (weighty != 0) {
        const int column = __ffsll(static_cast<long long>(weighty)) - 1;
        weighty &= weighty - 1;
        Real other[kShare];
#pragma unroll
        for (int e = 0; e < kShare; ++e) {
          other[e] = element(e) < ordered_.batch.dim ? columns(first + column, element(e)) : 0;
        }
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const Real weight = tile_.load(r, column);
#pragma unroll
          for (int e = 0; e < kShare; ++e) {
            // A weight of 0 adds 0, even if the difference is infinite or NaN.
            sums[r][e] += weight == 0 ? Real(0) : weight * (own[r][e] - other[e]);
          }
        }
      }
      __syncwarp();  // before the next tile overwrites the weights
    }
    Real* const to = static_cast<Real*>(params_.sums);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int e = 0; e < kShare; ++e) {
        if (is_real(r, e)) to[tile_.row(r) * ordered_.batch.dim + element(e)] += sums[r][e];
      }
    }
  }

 private:
  __device__ __forceinline__ int64_t element(int e) const {
    return first_element_ + e * kWarpSize + lane_index();
  }
  __device__ __forceinline__ bool is_real(int r, int e) const {
    return tile_.row(r) < params_.rows().num_rows && element(e) < ordered_.batch.dim;
  }

  // Stores the warp's weights of a tile. Returns the columns with a weight that is not 0.
  __device__ __forceinline__ uint64_t weigh(int64_t first) {
    uint64_t weighty = 0;
#pragma unroll 1
    for (int begin = 0; begin < kColumns; begin += kWarpSize) {
      const int column = begin + lane_index();
      bool any = false;
#pragma unroll 1
      for (int r = 0; r < kRows; ++r) any |= weigh_pair(r, column, first);
      weighty |= static_cast<uint64_t>(__ballot_sync(kAllLanes, any)) << begin;
    }
    __syncwarp();
    return weighty;
  }

  // Stores the weight of one pair per lane. All lanes call this.
  __device__ __forceinline__ bool weigh_pair(int r, int column, int64_t first) {
    const WeightsParams& weights = params_.weights;
    const int64_t row = tile_.row(r), other = first + column;
    const bool real = row < params_.rows().num_rows && other < params_.columns().num_rows;
    double weight = 0, key = 0;
    const PairRoles roles{params_.rows_are_anchors, row, other};
    const bool positive = real && ordered_.same_label[roles.anchor()].contains(roles.ref());
    const float value = real && !positive ? tile_.value(r, column) : 0;
    if (real && !positive) key = tile_.key(value);
    const auto closes = [&](bool is_anchor, int64_t anchor) {
      const float bound = is_anchor ? weights.sweep.data.anchors.bounds[anchor] : 0;
      return is_anchor && is_close(weights.sweep.state, anchor, key, tile_.key_bound(bound));
    };
    const bool asks = real && !positive &&
                      (tile_.is_small(r, column, value) || closes(params_.rows_are_anchors, row) ||
                       closes(params_.rows_are_refs, other));
    compare_directly(ordered_, asks, roles.anchor(), roles.ref(), key);
    if (real) {
      const double v = distance_of_key(ordered_.batch.distance, key);
      const auto add = [&](int64_t anchor, int64_t ref) {
        weight +=
            positive ? positive_weight(weights, anchor, ref) : negative_weight(weights, anchor, v);
      };
      if (params_.rows_are_anchors) add(row, other);
      if (params_.rows_are_refs) add(other, row);
    }
    tile_.store(r, column, static_cast<Real>(weight));
    return weight != 0;
  }

  const GradientParams& params_;
  const OrderedBatch& ordered_;
  int64_t first_row_;
  int64_t first_element_;
  Tile tile_;
};

template <int kFp16Terms, typename Real>
__global__ void __launch_bounds__(kSweepTile.threads(), kAnyBlocks)
    sweep_gradients_kernel(const __grid_constant__ GradientParams params) {
  using Gradients = SweepGradients<kFp16Terms, Real>;
  __shared__ typename Gradients::Shared shared;
  if (params.weights.sweep.state.is_over()) return;
  Gradients(params, shared).run();
}

struct StoreGradientsParams {
  OrderedBatch ordered;
  bool anchors;
  const void* sums;
  int64_t size;
  void* grad;  // by index
};

template <typename Stored>
__global__ void __launch_bounds__(kTripletThreads, kAnyBlocks)
    store_gradients_kernel(const __grid_constant__ StoreGradientsParams params) {
  using Real = compute_t<Stored>;
  const int64_t position = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  if (position >= params.size) return;
  const OrderedBatch& ordered = params.ordered;
  const int64_t dim = ordered.batch.dim;
  const AnyRows<double> rows(ordered, params.anchors);
  const Real* const sums = static_cast<const Real*>(params.sums) + position * dim;
  Stored* const grad = static_cast<Stored*>(params.grad) + rows.index(position) * dim;
  double along = 0, inverse = 1;
  bool moves = false;  // false: no pair of the row has weight, and the row may be NaN
  for (int64_t d = lane_index(); d < dim; d += kWarpSize) moves |= !(sums[d] == 0);
  moves = __any_sync(kAllLanes, moves) != 0;
  if (ordered.is_cosine() && moves) {
    inverse = rows.inverse(position);
    for (int64_t d = lane_index(); d < dim; d += kWarpSize) along += sums[d] * rows(position, d);
    along = sum_lanes(along);
  }
  for (int64_t d = lane_index(); d < dim; d += kWarpSize) {
    double value = sums[d];
    if (ordered.is_cosine() && moves) {
      value = inverse == 0 ? 0 : (value - along * rows(position, d)) * inverse;
    }
    grad[d] = round_to<Stored>(value);
  }
}

// ---- Launches ---------------------------------------------------------------

template <class Queue>
void launch_gradients(Queue& queue, const GradientParams& params) {
  const SweepState& state = params.weights.sweep.state;
  const auto launch = [&](auto kernel) {
    queue.launch(ceil_div(params.rows().num_rows, kSweepTile.rows()) * params.column_blocks,
                 kSweepTile.threads(), kernel, params);
  };
  if (state.ordered.batch.type == ScoreType::kDouble) {
    launch(sweep_gradients_kernel<0, double>);
  } else if (params.weights.sweep.data.fp16_terms == 2) {
    launch(sweep_gradients_kernel<2, float>);
  } else {
    launch(sweep_gradients_kernel<1, float>);
  }
}

// The gradients of anchors or references: sums over all rounds, then the result.
template <class Queue>
class GradientSums {
 public:
  GradientSums(Queue& queue, const WeightsParams& weights, bool anchors, bool refs, void* grad)
      : queue_(queue), params_{weights, anchors, refs, nullptr, 0}, grad_(grad) {
    const TripletBatch& batch = weights.sweep.state.ordered.batch;
    const int64_t size = params_.rows().num_rows * batch.dim;
    dispatch_stored(batch.type, [&](auto stored) {
      using Real = compute_t<decltype(stored)>;
      params_.column_blocks = static_cast<int32_t>(ceil_div(batch.dim, kGradientColumns<Real>));
      Real* const sums = queue.template allocate<Real>(size);
      queue.zero(sums, size);
      params_.sums = sums;
    });
  }

  void add(const WeightsParams& weights) {
    params_.weights = weights;
    launch_gradients(queue_, params_);
  }

  void store() {
    const OrderedBatch& ordered = params_.weights.sweep.state.ordered;
    const int64_t size = params_.rows().num_rows;
    const StoreGradientsParams params{ordered, params_.rows_are_anchors, params_.sums, size, grad_};
    dispatch_stored(ordered.batch.type, [&](auto stored) {
      queue_.launch(ceil_div(size, kTripletWarps), kTripletThreads,
                    store_gradients_kernel<decltype(stored)>, params);
    });
  }

 private:
  Queue& queue_;
  GradientParams params_;
  void* grad_;
};

template <class Queue>
void launch_sweep_gradients(Queue& queue, const OrderedBatch& ordered, const SearchData& data,
                            const BatchTripletBackwardArgs& args, int32_t chunk) {
  const int64_t anchors = ordered.batch.num_anchors;
  const SweepState state = new_sweep(queue, ordered, args.term, chunk);
  WeightsParams weights{new_sweep_params(queue, state, data), args.grad_loss, args.anchor_scale};
  weights.positives = queue.template allocate<double>(anchors * chunk);
  weights.sweep.below = queue.template allocate<uint32_t>(anchors * (chunk + 1));
  weights.sweep.reached = queue.template allocate<uint32_t>(anchors * (chunk + 1));
  weights.sweep.slopes = queue.template allocate<double>(anchors * chunk);
  const bool self = ordered.batch.self;
  GradientSums<Queue> of_anchors(queue, weights, true, self, args.grad_embeddings);
  std::optional<GradientSums<Queue>> of_refs;
  if (!self) of_refs.emplace(queue, weights, false, true, args.grad_refs);

  for_rounds(state, [&](const SweepState& round) {
    weights.sweep.state = round;
    launch_sweep(queue, weights.sweep);
    queue.launch(ceil_div(anchors, kTripletWarps), kTripletThreads, weights_kernel, weights);
    of_anchors.add(weights);
    if (of_refs) of_refs->add(weights);
  });
  of_anchors.store();
  if (of_refs) of_refs->store();
}

}  // namespace fused_rankloss::cuda::triplet
