// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of terms that are one pair of mined pairs an anchor, as a gather: with t a row,
//
//   grad_t = sum over the distances of t's own term, by their first row
//          + sum over the anchors that mined t, by their second row, anchors ascending
//
// An index of who mined whom is made by sorting (reference, 2 anchor + side), stably.
//
// Mapping      a warp a row, lane l the elements l, l + 32, ...
// Memory       Reads two rows an anchor and one a miner, writes each gradient once. 24 bytes for
//              each of the 2 N pairs while sorting. Anchors of slope 0 are not sorted in.
// Numerics     differences and sums in fp64, rounded once
// Determinism  a row is one warp's, and its sum has a fixed order: no atomics
#pragma once

#include "cuda/ordered_batch.cuh"

namespace fused_rankloss {

struct MinedParams {
  BatchTripletBackwardArgs args;
  KeyedValues unsorted;           // [2 N]
  KeyedValues miners;             // [2 N], sorted by reference; M where nothing is to be added
  const double* anchor_inverses;  // [N] by index; cosine only
  const double* ref_inverses;     // [M]

  // d loss / d distance of an anchor's pair.
  __device__ __forceinline__ double weight(int64_t anchor, bool positive) const {
    const double slope = args.slope[anchor];
    if (slope == 0 || args.positive[anchor] < 0) return 0;
    const double weight = args.grad_loss(anchor) * *args.anchor_scale * slope;
    return positive ? weight : -weight;
  }
  __device__ __forceinline__ double distance(int64_t anchor, bool positive) const {
    return args.distances[(positive ? 0 : args.batch.num_anchors) + anchor];
  }
};

__global__ void __launch_bounds__(kTripletThreads)
    mined_pairs_kernel(const __grid_constant__ MinedParams params) {
  const BatchTripletBackwardArgs& args = params.args;
  const int64_t t = int64_t{blockIdx.x} * kTripletThreads + threadIdx.x;
  if (t >= 2 * args.batch.num_anchors) return;
  const int64_t anchor = t / 2;
  const bool positive = t % 2 != 0;
  const int64_t ref = (positive ? args.positive : args.negative)[anchor];
  params.unsorted.keys[t] = params.weight(anchor, positive) != 0
                                ? static_cast<uint64_t>(ref)
                                : static_cast<uint64_t>(args.batch.num_refs);
  params.unsorted.values[t] = static_cast<int32_t>(t);
}

// Adds weight * d distance(x, y) / dx at element d, for rows of the batch.
template <typename Stored>
__device__ __forceinline__ double pair_gradient(Distance distance, double weight, double value,
                                                const WarpRow<Stored>& x, const WarpRow<Stored>& y,
                                                int64_t d) {
  return weight * gradient_factor(distance, value, x.inverse) *
         gradient_direction(distance, value, to_real(x.data[d]), to_real(y.data[d]), x.inverse,
                            y.inverse);
}

// kOwn: row t is an anchor; kMined: it is a reference.
template <typename Stored, bool kOwn, bool kMined>
__global__ void __launch_bounds__(kTripletThreads)
    mined_gradients_kernel(const __grid_constant__ MinedParams params) {
  const BatchTripletBackwardArgs& args = params.args;
  const TripletBatch& batch = args.batch;
  const int64_t size = kOwn ? batch.num_anchors : batch.num_refs;
  const int64_t row = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  if (row >= size) return;
  const bool cosine = batch.distance == Distance::kCosine;
  const auto anchor_row = [&](int64_t index) {
    return WarpRow<Stored>{static_cast<const Stored*>(batch.embeddings) + index * batch.dim,
                           cosine ? params.anchor_inverses[index] : 1};
  };
  const auto ref_row = [&](int64_t index) {
    return WarpRow<Stored>{static_cast<const Stored*>(batch.refs) + index * batch.dim,
                           cosine ? params.ref_inverses[index] : 1};
  };
  int64_t begin = 0, end = 0;
  if constexpr (kMined) {
    const auto first_of = [&](int64_t ref) {
      return partition_point(params.miners.keys, 2 * batch.num_anchors,
                             [ref](uint64_t key) { return key < static_cast<uint64_t>(ref); });
    };
    begin = first_of(row);
    end = first_of(row + 1);
  }
  const WarpRow<Stored> own = kOwn ? anchor_row(row) : ref_row(row);
  Stored* const grad = static_cast<Stored*>(kOwn ? args.grad_embeddings : args.grad_refs);

  for (int64_t d = lane_index(); d < batch.dim; d += kWarpSize) {
    double sum = 0;
    if constexpr (kOwn) {
#pragma unroll
      for (int side = 1; side >= 0; --side) {
        const bool positive = side == 1;
        const double weight = params.weight(row, positive);
        if (weight == 0) continue;
        const int64_t ref = (positive ? args.positive : args.negative)[row];
        sum += pair_gradient(batch.distance, weight, params.distance(row, positive), own,
                             ref_row(ref), d);
      }
    }
    for (int64_t t = begin; t < end; ++t) {
      const int32_t miner = params.miners.values[t];
      const bool positive = miner % 2 != 0;
      const int64_t anchor = miner / 2;
      sum += pair_gradient(batch.distance, params.weight(anchor, positive),
                           params.distance(anchor, positive), own, anchor_row(anchor), d);
    }
    grad[row * batch.dim + d] = round_to<Stored>(sum);
  }
}

// ---- Launches ---------------------------------------------------------------

// 1 / |x| by index, or null where the distance has no use for it.
template <class Queue>
const double* inverse_norms_by_index(Queue& queue, const TripletBatch& batch, const void* rows,
                                     int64_t size) {
  if (batch.distance != Distance::kCosine) return nullptr;
  return inverse_norms(queue, batch, rows, nullptr, size);
}

template <class Queue>
void launch_mined_gradients(Queue& queue, const BatchTripletBackwardArgs& args) {
  const TripletBatch& batch = args.batch;
  const int64_t count = 2 * batch.num_anchors;
  const auto allocate = [&] {
    return KeyedValues{queue.template allocate<uint64_t>(count),
                       queue.template allocate<int32_t>(count)};
  };
  MinedParams params{args, allocate(), allocate(), nullptr, nullptr};
  params.ref_inverses = inverse_norms_by_index(queue, batch, batch.refs, batch.num_refs);
  params.anchor_inverses =
      batch.self ? params.ref_inverses
                 : inverse_norms_by_index(queue, batch, batch.embeddings, batch.num_anchors);
  queue.launch(ceil_div(count, kTripletThreads), kTripletThreads, mined_pairs_kernel, params);
  int bits = 1;
  while (bits < 63 && batch.num_refs >> bits != 0) ++bits;
  if (count > 0) queue.sort(params.unsorted, params.miners, count, bits);
  dispatch_stored(batch.type, [&](auto stored) {
    using Stored = decltype(stored);
    const int64_t blocks = ceil_div(batch.num_anchors, kTripletWarps);
    if (batch.self) {
      queue.launch(blocks, kTripletThreads, mined_gradients_kernel<Stored, true, true>, params);
      return;
    }
    queue.launch(blocks, kTripletThreads, mined_gradients_kernel<Stored, true, false>, params);
    queue.launch(ceil_div(batch.num_refs, kTripletWarps), kTripletThreads,
                 mined_gradients_kernel<Stored, false, true>, params);
  });
}

}  // namespace fused_rankloss
