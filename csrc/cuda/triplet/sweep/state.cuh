// SPDX-License-Identifier: BSD-3-Clause
//
// Semi-hard and all triplets: an anchor's positives, as sorted thresholds that its negatives meet.
//
//   semi-hard  one term for each positive p: the negative of smallest key above p's or, where none
//              is, of the greatest
//   all        a term for each positive and negative: sum_p max(0, t_p - v) over the thresholds
//              t_p = distance(a, p) + margin is a search and a suffix sum for a negative at
//              distance v
//
// A class may be of any size, and only the device knows it: positives come in rounds of at most
// `chunk` an anchor. Sums over the terms add up over the rounds; rounds beyond the largest class
// find nothing to do.
//
// Mapping      a warp an anchor
// Memory       O(N chunk); the positives' rows are read once
// Numerics     canonical keys; sums in fp64
// Determinism  an anchor is one warp's
#pragma once

#include "cuda/triplet/anchor_terms.cuh"
#include "cuda/triplet/batch_hard/select.cuh"
#include "cuda/triplet/label_order.cuh"

namespace fused_rankloss::cuda::triplet {

// What the kernels of a sweep share. Arrays of [N, chunk] belong to the anchor at a position.
struct SweepState {
  OrderedBatch ordered;
  TripletTermArgs term;
  int32_t chunk;
  int32_t round;
  uint32_t* most_positives;  // [1], of any anchor with a triplet
  double* keys;              // [N, chunk], of the round's positives, in label order
  double* thresholds;        // [N, chunk], sorted, NaN last: keys, or distances + margin
  int32_t* elements;         // [N, chunk], whose they are among the round's positives
  double* suffixes;          // [N, chunk], sum of this threshold and those above; all only

  FRL_HD bool is_all() const { return ordered.batch.mining == Mining::kAll; }
  FRL_HD int64_t first(int64_t anchor) const { return anchor * chunk; }

  // The anchor's positives in this round.
  FRL_HD int32_t count(int64_t anchor) const {
    if (anchor >= ordered.batch.num_anchors || !ordered.has_triplet(anchor)) return 0;
    const int64_t left = ordered.num_positives(anchor) - int64_t{round} * chunk;
    return static_cast<int32_t>(left < 0 ? 0 : (left > chunk ? chunk : left));
  }
  FRL_HD int64_t ref_of(int64_t anchor, int32_t element) const {
    const int64_t ref = ordered.same_label[anchor].begin + int64_t{round} * chunk + element;
    return ordered.batch.self && ref >= anchor ? ref + 1 : ref;
  }
  // The other way round, for one of the anchor's positives; outside of [0, chunk) it is of another
  // round.
  FRL_HD int64_t element_of(int64_t anchor, int64_t ref) const {
    const int64_t place = ref - ordered.same_label[anchor].begin;
    return place - (ordered.batch.self && ref > anchor ? 1 : 0) - int64_t{round} * chunk;
  }
  __device__ __forceinline__ bool is_over() const {
    return int64_t{round} * chunk >= static_cast<int64_t>(*most_positives);
  }
};

// The canonical key of a pair, by a warp. Rows of any type: where few pairs of a tile need it, the
// tile's kernel is not made once for each.
__device__ __forceinline__ double canonical_key(const OrderedBatch& ordered, int64_t anchor,
                                                int64_t ref) {
  const auto key = [&](auto stored) {
    using Stored = decltype(stored);
    return warp_key(ordered.batch, ordered.anchor_row<Stored>(anchor),
                    ordered.ref_row<Stored>(ref));
  };
  switch (ordered.batch.type) {
    case ScoreType::kHalf:
      return key(Half{});
    case ScoreType::kBFloat16:
      return key(BFloat16{});
    case ScoreType::kFloat:
      return key(float{});
    default:
      return key(double{});
  }
}

__global__ void __launch_bounds__(kTripletThreads)
    most_positives_kernel(const __grid_constant__ SweepState state) {
  const int64_t anchor = int64_t{blockIdx.x} * kTripletThreads + threadIdx.x;
  if (anchor >= state.ordered.batch.num_anchors || !state.ordered.has_triplet(anchor)) return;
  atomicMax(state.most_positives, static_cast<uint32_t>(state.ordered.num_positives(anchor)));
}

// Fills the round's arrays of an anchor with `count` positives, by a warp.
__device__ __forceinline__ void fill_thresholds(const SweepState& state, int64_t anchor,
                                                int32_t count) {
  const OrderedBatch& ordered = state.ordered;
  const int64_t first = state.first(anchor);
  for (int32_t element = 0; element < count; ++element) {
    const double key = canonical_key(ordered, anchor, state.ref_of(anchor, element));
    if (lane_index() == 0) state.keys[first + element] = key;
  }
  __syncwarp();
  const double margin = state.term.term().margin;
  for (int32_t element = lane_index(); element < count; element += kWarpSize) {
    const double key = state.keys[first + element];
    int32_t rank = 0;
    for (int32_t other = 0; other < count; ++other) {
      const double other_key = state.keys[first + other];
      const bool nan = key != key, other_nan = other_key != other_key;
      const bool before = nan ? !other_nan : other_key < key;
      const bool tied = nan ? other_nan : other_key == key;
      rank += before || (tied && other < element);
    }
    state.thresholds[first + rank] =
        state.is_all() ? distance_of_key(ordered.batch.distance, key) + margin : key;
    state.elements[first + rank] = element;
  }
  __syncwarp();
  if (!state.is_all() || lane_index() != 0) return;
  double suffix = 0;
  for (int32_t k = count; k-- > 0;) {
    suffix += state.thresholds[first + k];
    state.suffixes[first + k] = suffix;
  }
}

// ---- Launches ---------------------------------------------------------------

// So many positives an anchor that a round's arrays stay within kChunkBytes, about 130 bytes each,
// and that two pairs each are counted in 31 bits.
inline int32_t chunk_size(const TripletBatch& batch) {
  const int64_t anchors = std::max<int64_t>(1, batch.num_anchors);
  const int64_t size =
      std::min(std::max(kMinChunk, kChunkBytes / 130 / anchors), kMostPairs / 2 / anchors);
  return static_cast<int32_t>(std::min(size, std::max<int64_t>(1, batch.num_refs)));
}

template <class Queue>
SweepState new_sweep(Queue& queue, const OrderedBatch& ordered, const TripletTermArgs& term,
                     int32_t chunk) {
  const int64_t anchors = ordered.batch.num_anchors;
  SweepState state{ordered, term, chunk, 0};
  state.most_positives = queue.template allocate<uint32_t>(1);
  queue.zero(state.most_positives, 1);
  state.keys = queue.template allocate<double>(anchors * chunk);
  state.thresholds = queue.template allocate<double>(anchors * chunk);
  state.elements = queue.template allocate<int32_t>(anchors * chunk);
  state.suffixes = queue.template allocate<double>(state.is_all() ? anchors * chunk : 0);
  queue.launch(ceil_div(anchors, kTripletThreads), kTripletThreads, most_positives_kernel, state);
  return state;
}

// At least one, so that there is one to store what there is not.
inline int64_t num_rounds(const SweepState& state) {
  return std::max<int64_t>(1, ceil_div(state.ordered.batch.num_refs, state.chunk));
}

// Calls `body` with the state of each round.
template <typename Body>
void for_rounds(SweepState state, Body body) {
  const int64_t rounds = num_rounds(state);
  for (int64_t round = 0; round < rounds; ++round) {
    state.round = static_cast<int32_t>(round);
    body(state);
  }
}

}  // namespace fused_rankloss::cuda::triplet
