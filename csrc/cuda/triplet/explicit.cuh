// SPDX-License-Identifier: BSD-3-Clause
//
// Explicit triplets: the loss of row r of three tensors, and its gradients.
//
//   gap_r = distance(a_r, p_r) - distance(a_r, n_r) + margin     (args/triplet.h: distances)
//
// Mapping      a warp a row, lane l the elements l, l + 32, ...: whole lines, and the very order in
//              which the canonical distances are summed
// Memory       Every input is read once (twice for cosine, and for backward), every gradient
//              written once. Kept between the passes: 2 or 3 distances and a slope a row.
// Numerics     fp64 whatever the type, rounded once. The backward pass takes the differences again.
// Determinism  A row is one warp's; sums over rows as in term_sums.cuh.
#pragma once

#include "args/triplet.h"
#include "cuda/triplet/term_sums.cuh"

namespace fused_rankloss::cuda::triplet {

// ---- Sums over the elements of a row ---------------------------------------

// The tree of the canonical sum; the result in all lanes.
__device__ __forceinline__ double sum_lanes(double value) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    value = exact::add(value, __shfl_down_sync(kAllLanes, value, distance));
  }
  return __shfl_sync(kAllLanes, value, 0);
}

// The larger one; a NaN stays.
__device__ __forceinline__ double larger(double a, double b) { return a != a || a >= b ? a : b; }

__device__ __forceinline__ double max_lanes(double value) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    value = larger(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

template <typename Stored>
__device__ __forceinline__ double warp_inverse_norm(const Stored* x, int64_t dim) {
  double sum = 0;
  for (int64_t d = lane_index(); d < dim; d += kWarpSize) {
    sum = exact::add(sum, square_term(to_real(x[d])));
  }
  return inverse_norm(sum_lanes(sum));
}

// ---- Distances of two rows --------------------------------------------------

// A row with 1 / |x| where the distance is the cosine's.
template <typename Stored>
struct WarpRow {
  const Stored* data;
  double inverse = 1;
};

// One of the distances of explicit triplets. With z = x - y + eps, those other than
// losses/distance.h are (sum_d |z_d|^p)^(1/p), and the largest |z_d| for p = infinity.
class ExplicitDistance {
 public:
  __device__ explicit ExplicitDistance(const TripletRows& rows) : rows_(rows) {}

  // What a lane starts with is 0.
  __device__ __forceinline__ double add(double sum, double x, double x_inverse, double y,
                                        double y_inverse) const {
    if (rows_.distance == Distance::kCosine) {
      return exact::add(sum, direction_term(x, x_inverse, y, y_inverse));
    }
    if (!rows_.is_shifted_norm()) return exact::add(sum, difference_term(x, y));
    const double z = fabs(shifted(x, y));
    if (rows_.p == 2) return exact::add(sum, square_term(z));
    if (is_maximum()) return larger(sum, z);
    return exact::add(sum, rows_.p == 1 ? z : pow(z, rows_.p));  // a pow may be an ulp off
  }

  // The distance from all lanes' sums.
  __device__ __forceinline__ double finish(double sum, double x_inverse, double y_inverse) const {
    const bool norm = rows_.is_shifted_norm();
    if (norm && is_maximum()) return max_lanes(sum);
    sum = sum_lanes(sum);
    if (norm && rows_.p == 1) return sum;
    if (norm && rows_.p != 2) return pow(sum, 1 / rows_.p);
    return distance_of_key(rows_.distance, pair_key(rows_.distance, sum, x_inverse, y_inverse));
  }

  // For p = infinity the elements that tie for the maximum share the gradient.
  template <typename Stored>
  __device__ double num_shares(double value, const WarpRow<Stored>& x,
                               const WarpRow<Stored>& y) const {
    if (!rows_.is_shifted_norm() || !is_maximum()) return 1;
    double ties = 0;
    for (int64_t d = lane_index(); d < rows_.dim; d += kWarpSize) {
      ties += fabs(shifted(to_real(x.data[d]), to_real(y.data[d]))) == value;
    }
    return sum_lanes(ties);
  }

  // The derivative of the distance `value` by element d of x. Exchange the rows for that by y where
  // the distance is symmetric; the derivative of a shifted norm changes its sign.
  __device__ __forceinline__ double derivative(double value, double x, double x_inverse, double y,
                                               double y_inverse) const {
    if (!rows_.is_shifted_norm()) {
      return gradient_factor(rows_.distance, value, x_inverse) *
             gradient_direction(rows_.distance, value, x, y, x_inverse, y_inverse);
    }
    const double z = shifted(x, y);
    if (value == 0 || z == 0) return 0;
    if (rows_.p == 2) return z / value;
    const double sign = z > 0 ? 1 : -1;
    if (is_maximum()) return fabs(z) == value ? sign : (value == value ? 0.0 : value);
    return rows_.p == 1 ? sign : sign * pow(fabs(z) / value, rows_.p - 1);
  }

  __device__ __forceinline__ bool is_shifted_norm() const { return rows_.is_shifted_norm(); }

 private:
  __device__ __forceinline__ bool is_maximum() const { return rows_.p > 1.7976931348623157e308; }
  __device__ __forceinline__ double shifted(double x, double y) const {
    return exact::add(exact::sub(x, y), rows_.eps);
  }

  const TripletRows& rows_;
};

template <typename Stored>
struct WarpTriplet {
  WarpRow<Stored> anchor, positive, negative;

  __device__ __forceinline__ WarpTriplet(const TripletRows& rows, int64_t row)
      : anchor{static_cast<const Stored*>(rows.anchor) + row * rows.dim},
        positive{static_cast<const Stored*>(rows.positive) + row * rows.dim},
        negative{static_cast<const Stored*>(rows.negative) + row * rows.dim} {
    if (rows.distance == Distance::kCosine) {
      anchor.inverse = warp_inverse_norm(anchor.data, rows.dim);
      positive.inverse = warp_inverse_norm(positive.data, rows.dim);
      negative.inverse = warp_inverse_norm(negative.data, rows.dim);
    }
  }
};

// ---- Forward ----------------------------------------------------------------

struct TripletRowsParams {
  TripletArgs args;
  TermPartials partials;
  double* scale;  // [1], d loss / d term
};

template <typename Stored>
__global__ void __launch_bounds__(kTripletThreads, kAnyBlocks)
    triplet_rows_kernel(const __grid_constant__ TripletRowsParams params) {
  using Loss = compute_t<Stored>;
  const TripletArgs& args = params.args;
  const TripletRows& rows = args.rows;
  const int64_t num_rows = rows.num_rows;
  const ExplicitDistance distance(rows);
  const TripletTerm term = args.term.term();
  const bool none = args.reduction == TripletReduction::kNone;
  Loss* loss = static_cast<Loss*>(args.loss);

  TermSums sums;
  for (int64_t row = int64_t{blockIdx.x} * kTripletWarps + warp_index(); row < num_rows;
       row += int64_t{gridDim.x} * kTripletWarps) {
    const WarpTriplet<Stored> triplet(rows, row);
    const double a_inverse = triplet.anchor.inverse, p_inverse = triplet.positive.inverse,
                 n_inverse = triplet.negative.inverse;
    double to_positive = 0, to_negative = 0, between = 0;
#pragma unroll 2
    for (int64_t d = lane_index(); d < rows.dim; d += kWarpSize) {
      const double a = to_real(triplet.anchor.data[d]);
      const double p = to_real(triplet.positive.data[d]);
      const double n = to_real(triplet.negative.data[d]);
      to_positive = distance.add(to_positive, a, a_inverse, p, p_inverse);
      to_negative = distance.add(to_negative, a, a_inverse, n, n_inverse);
      if (rows.swap) between = distance.add(between, p, p_inverse, n, n_inverse);
    }
    to_positive = distance.finish(to_positive, a_inverse, p_inverse);
    to_negative = distance.finish(to_negative, a_inverse, n_inverse);
    if (rows.swap) between = distance.finish(between, p_inverse, n_inverse);
    if (lane_index() != 0) continue;

    args.distances[row] = to_positive;
    args.distances[num_rows + row] = to_negative;
    if (rows.swap) {
      args.distances[2 * num_rows + row] = between;
      // As torch.minimum, a NaN of either side wins.
      if (to_negative == to_negative && !(to_negative <= between)) to_negative = between;
    }
    const double gap = term.gap(to_positive, to_negative), value = term.value(gap);
    args.slope[row] = term.slope(gap);
    if (none) loss[row] = static_cast<Loss>(value);
    sums.add({value, 1, value <= 0 ? 0.0 : 1.0});
  }
  sum_over_grid(params.partials, sums, [&](const TermSums& total) {
    const double scale = reduction_scale(args.reduction, total.terms, total.nonzero);
    *params.scale = scale;
    if (!none) *loss = static_cast<Loss>(scale * total.value);
  });
}

// slope *= scale, once that is known.
struct ScaleSlopesParams {
  double* slope;
  const double* scale;
  int64_t num_rows;
};

// A template, as every kernel in a header that several .cu include: one definition is kept.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    scale_slopes_kernel(const __grid_constant__ ScaleSlopesParams params) {
  const int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row < params.num_rows) params.slope[row] *= *params.scale;
}

// ---- Backward ---------------------------------------------------------------

template <typename Stored>
__global__ void __launch_bounds__(kTripletThreads)
    triplet_rows_backward_kernel(const __grid_constant__ TripletBackwardArgs args) {
  const TripletRows& rows = args.rows;
  const int64_t num_rows = rows.num_rows;
  const ExplicitDistance distance(rows);
  const double other_sign = distance.is_shifted_norm() ? -1 : 1;
  const int64_t row = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  if (row >= num_rows) return;

  Stored* const anchor_grad = static_cast<Stored*>(args.grad_anchor) + row * rows.dim;
  Stored* const positive_grad = static_cast<Stored*>(args.grad_positive) + row * rows.dim;
  Stored* const negative_grad = static_cast<Stored*>(args.grad_negative) + row * rows.dim;
  const double weight = args.grad_loss(row) * args.slope[row];
  if (weight == 0) {  // whatever the rows hold
    for (int64_t d = lane_index(); d < rows.dim; d += kWarpSize) {
      anchor_grad[d] = positive_grad[d] = negative_grad[d] = round_to<Stored>(0.0);
    }
    return;
  }

  const WarpTriplet<Stored> triplet(rows, row);
  const WarpRow<Stored>&a_row = triplet.anchor, &p_row = triplet.positive,
        &n_row = triplet.negative;
  const double to_positive = args.distances[row], to_negative = args.distances[num_rows + row];
  double between = 0;
  double share = 1;  // of (a, n) in the negative's distance; the rest is (p, n)'s
  if (rows.swap) {
    between = args.distances[2 * num_rows + row];
    share = to_negative == between ? 0.5 : (to_negative > between ? 0.0 : 1.0);
  }
  // d loss / d distance, for each of the elements that share it.
  const double by_positive = weight / distance.num_shares(to_positive, a_row, p_row);
  const double by_negative = -weight * share / distance.num_shares(to_negative, a_row, n_row);
  const double by_between =
      share == 1 ? 0.0 : -weight * (1 - share) / distance.num_shares(between, p_row, n_row);

  for (int64_t d = lane_index(); d < rows.dim; d += kWarpSize) {
    const double a = to_real(a_row.data[d]), p = to_real(p_row.data[d]), n = to_real(n_row.data[d]);
    double a_grad = 0, p_grad = 0, n_grad = 0;
    // Adds the gradient of one distance to that of both its rows.
    const auto add = [&](double by, double value, double x, double x_inverse, double y,
                         double y_inverse, double& x_grad, double& y_grad) {
      if (by == 0) return;
      const double slope = distance.derivative(value, x, x_inverse, y, y_inverse);
      x_grad += by * slope;
      y_grad +=
          by * (other_sign < 0 ? -slope : distance.derivative(value, y, y_inverse, x, x_inverse));
    };
    add(by_positive, to_positive, a, a_row.inverse, p, p_row.inverse, a_grad, p_grad);
    add(by_negative, to_negative, a, a_row.inverse, n, n_row.inverse, a_grad, n_grad);
    add(by_between, between, p, p_row.inverse, n, n_row.inverse, p_grad, n_grad);
    anchor_grad[d] = round_to<Stored>(a_grad);
    positive_grad[d] = round_to<Stored>(p_grad);
    negative_grad[d] = round_to<Stored>(n_grad);
  }
}

// ---- Launches ---------------------------------------------------------------

// Calls `body` with a value of the type that rows are stored in.
template <typename Body>
void dispatch_stored(ScoreType type, Body&& body) {
  switch (type) {
    case ScoreType::kHalf:
      return body(Half{});
    case ScoreType::kBFloat16:
      return body(BFloat16{});
    case ScoreType::kFloat:
      return body(float{});
    default:
      return body(double{});
  }
}

FRL_HD int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

FRL_HD int64_t sum_blocks(int64_t blocks) {
  return blocks < 1 ? 1 : (blocks > kMaxSumBlocks ? kMaxSumBlocks : blocks);
}

// Queue: what allocates, launches and sorts, in order (cuda/launch/launch.h).
template <class Queue>
TermPartials new_term_partials(Queue& queue, int64_t blocks) {
  TermPartials partials{queue.template allocate<TermSums>(blocks),
                        queue.template allocate<uint32_t>(1)};
  queue.zero(partials.finished, 1);
  return partials;
}

template <class Queue>
void run_triplet(Queue& queue, const TripletArgs& args) {
  const int64_t num_rows = args.rows.num_rows;
  const int64_t blocks = sum_blocks(ceil_div(num_rows, kTripletWarps));
  const TripletRowsParams params{args, new_term_partials(queue, blocks),
                                 queue.template allocate<double>(1)};
  dispatch_stored(args.rows.type, [&](auto stored) {
    queue.launch(blocks, kTripletThreads, triplet_rows_kernel<decltype(stored)>, params);
  });
  if (args.reduction == TripletReduction::kMean ||
      args.reduction == TripletReduction::kMeanNonzero) {
    queue.launch(ceil_div(num_rows, kTripletThreads), kTripletThreads,
                 scale_slopes_kernel<kTripletThreads>,
                 ScaleSlopesParams{args.slope, params.scale, num_rows});
  }
}

template <class Queue>
void run_triplet_backward(Queue& queue, const TripletBackwardArgs& args) {
  dispatch_stored(args.rows.type, [&](auto stored) {
    queue.launch(ceil_div(args.rows.num_rows, kTripletWarps), kTripletThreads,
                 triplet_rows_backward_kernel<decltype(stored)>, args);
  });
}

}  // namespace fused_rankloss::cuda::triplet
