// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of terms that are a few pairs of mined pairs an anchor, K, as a gather: with t a
// row,
//
//   grad_t = sum over the distances of t's own terms, by their first row
//          + sum over the anchors that mined t, by their second row, anchors ascending
//
// An index of who mined whom is made by sorting (reference, 2 term + side), stably.
//
// Mapping      a warp a row, lane l the elements l, l + 32, ...
// Memory       Reads two rows a term and one a miner, writes each gradient once; in rounds, its
// sums
//              once a round. 24 bytes for each of the 2 N K pairs while sorting. Terms of slope 0
//              are not sorted in.
// Numerics     differences and sums in fp64, rounded once
// Determinism  a row is one warp's, and its sum has a fixed order: no atomics
#pragma once

#include "cuda/triplet/label_order.cuh"

namespace fused_rankloss::cuda::triplet {

// The mined terms, K an anchor: those of index a are a K .. a K + K - 1.
struct MinedTerms {
  int64_t each;             // K
  const int64_t* positive;  // [N K], -1 where there is no term
  const int64_t* negative;  // [N K]
  const double* distances;  // [2, N K]
  const double* slope;      // [N K], d anchor_sum / d gap
};

struct MinedParams {
  BatchTripletBackwardArgs args;
  MinedTerms terms;
  KeyedValues unsorted;           // [2 N K]
  KeyedValues miners;             // [2 N K], sorted by reference; M where nothing is to be added
  const double* anchor_inverses;  // [N] by index; cosine only
  const double* ref_inverses;     // [M]
  // For terms that come in rounds; null and 0 where one round is all of them.
  const uint32_t* most_terms;  // [1], of any anchor
  int64_t earlier_terms;       // of an anchor, in the rounds before this one
  double* sums;                // [N, D], of the rounds so far
  double* ref_sums;            // [M, D]; sums where the references are the anchors
  bool last_round;             // gradients are stored

  // Whether a round neither finds anything to do nor is the first or last.
  __device__ __forceinline__ bool is_idle() const {
    return !last_round && earlier_terms > 0 && earlier_terms >= static_cast<int64_t>(*most_terms);
  }
  FRL_HD int64_t num_pairs() const { return 2 * terms.each * args.batch.num_anchors; }

  // d loss / d distance of a term's pair.
  __device__ __forceinline__ double weight(int64_t term, bool positive) const {
    const double slope = terms.slope[term];
    if (terms.positive[term] < 0 || slope == 0) return 0;
    const double weight = args.grad_loss(term / terms.each) * *args.anchor_scale * slope;
    return positive ? weight : -weight;
  }
  __device__ __forceinline__ int64_t ref(int64_t term, bool positive) const {
    return (positive ? terms.positive : terms.negative)[term];
  }
  __device__ __forceinline__ double distance(int64_t term, bool positive) const {
    return terms.distances[(positive ? 0 : terms.each * args.batch.num_anchors) + term];
  }
};

__global__ void __launch_bounds__(kTripletThreads)
    mined_pairs_kernel(const __grid_constant__ MinedParams params) {
  const int64_t t = int64_t{blockIdx.x} * kTripletThreads + threadIdx.x;
  if (t >= params.num_pairs() || params.is_idle()) return;
  const bool positive = t % 2 != 0;
  params.unsorted.keys[t] =
      static_cast<uint64_t>(params.weight(t / 2, positive) != 0 ? params.ref(t / 2, positive)
                                                                : params.args.batch.num_refs);
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
__global__ void __launch_bounds__(kTripletThreads, kAnyBlocks)
    mined_gradients_kernel(const __grid_constant__ MinedParams params) {
  const BatchTripletBackwardArgs& args = params.args;
  const TripletBatch& batch = args.batch;
  const int64_t size = kOwn ? batch.num_anchors : batch.num_refs;
  const int64_t row = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  if (row >= size || params.is_idle()) return;
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
      return partition_point(params.miners.keys, params.num_pairs(),
                             [ref](uint64_t key) { return key < static_cast<uint64_t>(ref); });
    };
    begin = first_of(row);
    end = first_of(row + 1);
  }
  const WarpRow<Stored> own = kOwn ? anchor_row(row) : ref_row(row);
  Stored* const grad = static_cast<Stored*>(kOwn ? args.grad_embeddings : args.grad_refs);
  double* const sums = kOwn ? params.sums : params.ref_sums;
  const int64_t first_term = row * params.terms.each;

  for (int64_t d = lane_index(); d < batch.dim; d += kWarpSize) {
    double sum = params.earlier_terms == 0 ? 0 : sums[row * batch.dim + d];
    if constexpr (kOwn) {
      for (int64_t term = first_term; term < first_term + params.terms.each; ++term) {
#pragma unroll
        for (int side = 1; side >= 0; --side) {
          const bool positive = side == 1;
          const double weight = params.weight(term, positive);
          if (weight == 0) continue;
          sum += pair_gradient(batch.distance, weight, params.distance(term, positive), own,
                               ref_row(params.ref(term, positive)), d);
        }
      }
    }
    for (int64_t t = begin; t < end; ++t) {
      const int32_t miner = params.miners.values[t];
      const bool positive = miner % 2 != 0;
      const int64_t term = miner / 2;
      sum += pair_gradient(batch.distance, params.weight(term, positive),
                           params.distance(term, positive), own,
                           anchor_row(term / params.terms.each), d);
    }
    if (params.last_round) {
      grad[row * batch.dim + d] = round_to<Stored>(sum);
    } else {
      sums[row * batch.dim + d] = sum;
    }
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

// Those of one round that is all of them.
template <class Queue>
MinedParams new_mined_params(Queue& queue, const BatchTripletBackwardArgs& args,
                             const MinedTerms& terms) {
  const TripletBatch& batch = args.batch;
  MinedParams params{args, terms};
  const auto allocate = [&] {
    return KeyedValues{queue.template allocate<uint64_t>(params.num_pairs()),
                       queue.template allocate<int32_t>(params.num_pairs())};
  };
  params.unsorted = allocate();
  params.miners = allocate();
  params.ref_inverses = inverse_norms_by_index(queue, batch, batch.refs, batch.num_refs);
  params.anchor_inverses =
      batch.self ? params.ref_inverses
                 : inverse_norms_by_index(queue, batch, batch.embeddings, batch.num_anchors);
  params.last_round = true;
  return params;
}

template <class Queue>
void launch_mined_gradients(Queue& queue, const MinedParams& params) {
  const TripletBatch& batch = params.args.batch;
  const int64_t count = params.num_pairs();
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

}  // namespace fused_rankloss::cuda::triplet
