// SPDX-License-Identifier: BSD-3-Clause
//
// The weights of the distances of a round's terms in the loss, after a sweep over its negatives:
//
//   w_ax = d loss / d distance(a, x) * f,    d distance / dx_a = f (x_a - x)                   (1)
//
// f is gradient_factor(); for cosine f = 1, and the last step of gradients.cuh does the rest of the
// derivative. Weights of positives are stored, those of negatives are recomputed.
//
// Mapping      one warp per anchor
// Numerics     fp64
// Determinism  one warp processes an anchor
#pragma once

#include "cuda/triplet/sweep/forward.cuh"

namespace fused_rankloss::cuda::triplet {

struct WeightsParams {
  SweepParams sweep;
  GradOutput grad_loss;
  const double* anchor_scale;  // [1]
  double* positives;           // [N, chunk], of the round's positives in label order

  __device__ __forceinline__ double grad_output(int64_t anchor) const {
    return grad_loss(sweep.state.ordered.anchors[anchor]) * *anchor_scale;
  }
  // f of (1).
  __device__ __forceinline__ double factor(double distance) const {
    const Distance kind = sweep.state.ordered.batch.distance;
    return kind == Distance::kCosine ? 1 : gradient_factor(kind, distance);
  }
  // A slope of NaN stays NaN if grad_output is 0, as in a product.
  __device__ __forceinline__ double weight(double grad_output, double slope,
                                           double distance) const {
    const double weight = slope == 0 ? 0.0 : grad_output * slope;
    return weight == 0 ? 0.0 : weight * factor(distance);
  }
};

// The weight of each positive: sums the slopes of its terms from the counts of a sweep.
__global__ void __launch_bounds__(kTripletThreads)
    weights_kernel(const __grid_constant__ WeightsParams params) {
  const SweepParams& sweep = params.sweep;
  const SweepState& state = sweep.state;
  if (state.is_over()) return;
  const int64_t anchor = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  const int32_t count = state.count(anchor);
  if (count == 0) return;
  const double boundary = state.term.term().boundary, grad_output = params.grad_output(anchor);
  const int64_t first = state.first(anchor), counts = anchor * (state.chunk + 1);
  uint32_t below = 0, reached = 0;
  for (int32_t begin = 0; begin < count; begin += kWarpSize) {
    const int32_t k = begin + lane_index();
    uint32_t own_below = k < count ? sweep.below[counts + k] : 0;
    uint32_t own_reached = k < count ? sweep.reached[counts + k] : 0;
    for (int distance = 1; distance < kWarpSize; distance *= 2) {
      const uint32_t other_below = __shfl_up_sync(kAllLanes, own_below, distance);
      const uint32_t other_reached = __shfl_up_sync(kAllLanes, own_reached, distance);
      if (lane_index() < distance) continue;
      own_below += other_below;
      own_reached += other_reached;
    }
    if (k < count) {
      const double strictly = below + own_below, at_least = reached + own_reached;
      const double slope = strictly + boundary * (at_least - strictly) + sweep.slopes[first + k];
      const int32_t element = state.elements[first + k];
      const double distance =
          distance_of_key(state.ordered.batch.distance, state.keys[first + element]);
      params.positives[first + element] = params.weight(grad_output, slope, distance);
    }
    below += __shfl_sync(kAllLanes, own_below, kWarpSize - 1);
    reached += __shfl_sync(kAllLanes, own_reached, kWarpSize - 1);
  }
}

// ---- Weights of a pair -------------------------------------------------------

// The weight of an anchor's positive; 0 if it belongs to another round.
__device__ __forceinline__ double positive_weight(const WeightsParams& params, int64_t anchor,
                                                  int64_t ref) {
  const SweepState& state = params.sweep.state;
  const int64_t element = state.element_of(anchor, ref);
  const bool ours = element >= 0 && element < state.count(anchor);
  return ours && !state.ordered.is_self(anchor, ref)
             ? params.positives[state.first(anchor) + element]
             : 0.0;
}

// The weight of an anchor's negative at distance v.
__device__ __forceinline__ double negative_weight(const WeightsParams& params, int64_t anchor,
                                                  double v) {
  const SweepState& state = params.sweep.state;
  const TripletTerm term = state.term.term();
  const int32_t count = state.count(anchor);
  if (count == 0) return 0;
  const double* const thresholds = state.thresholds + state.first(anchor);
  const double last = thresholds[count - 1];
  double slope = 0;
  if (term.soft || last - last != 0 || v != v) {
    for (int32_t k = 0; k < count; ++k) slope += term.slope(thresholds[k] - v);
  } else {
    const int64_t reached =
        partition_point(thresholds, count, [v](double threshold) { return threshold < v; });
    int64_t above = reached;
    while (above < count && thresholds[above] == v) ++above;
    slope =
        static_cast<double>(count - above) + term.boundary * static_cast<double>(above - reached);
  }
  return -params.weight(params.grad_output(anchor), slope, v);
}

}  // namespace fused_rankloss::cuda::triplet
