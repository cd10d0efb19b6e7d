// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients of semi-hard triplets: the sweep over negatives finds every positive's pick again,
// and mined_gradients.cuh gathers what they weigh, a round of positives at a time.
//
// Mapping      a warp an anchor
// Memory       48 bytes a positive of the round, beside those of the sweep and of the gather
// Numerics     fp64
// Determinism  that of the sweep and of the gather
#pragma once

#include "cuda/triplet/mined_gradients.cuh"
#include "cuda/triplet/sweep/forward.cuh"

namespace fused_rankloss::cuda::triplet {

struct SemiHardPairsParams {
  SweepParams sweep;
  bool last_round;
  int64_t* positive;  // [N, chunk], by the anchor's index: what MinedTerms reads
  int64_t* negative;
  double* distances;  // [2, N, chunk]
  double* slope;
};

__global__ void __launch_bounds__(kTripletThreads, kAnyBlocks)
    semi_hard_pairs_kernel(const __grid_constant__ SemiHardPairsParams params) {
  const SweepState& state = params.sweep.state;
  const OrderedBatch& ordered = state.ordered;
  const int64_t anchor = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  const int64_t num_anchors = ordered.batch.num_anchors;
  if (anchor >= num_anchors) return;
  // The first round and the last one are gathered whatever they hold.
  if (state.is_over() && state.round > 0 && !params.last_round) return;
  const int32_t count = state.count(anchor);
  const int64_t first = state.first(anchor), to = state.first(ordered.anchors[anchor]);
  const TripletTerm term = state.term.term();
  for (int32_t k = lane_index(); k < state.chunk; k += kWarpSize) {
    if (k >= count) {
      params.positive[to + k] = -1;
      continue;
    }
    const Pick negative = negative_of(params.sweep, anchor, k);
    const double to_positive = distance_of_key(ordered.batch.distance, state.thresholds[first + k]);
    const double to_negative = distance_of_key(ordered.batch.distance, negative.key);
    params.positive[to + k] = ordered.refs[state.ref_of(anchor, state.elements[first + k])];
    params.negative[to + k] = negative.index;
    params.distances[to + k] = to_positive;
    params.distances[num_anchors * state.chunk + to + k] = to_negative;
    params.slope[to + k] = term.slope(term.gap(to_positive, to_negative));
  }
}

template <class Queue>
void launch_semi_hard_gradients(Queue& queue, const OrderedBatch& ordered, const SearchData& data,
                                const BatchTripletBackwardArgs& args, int32_t chunk) {
  const TripletBatch& batch = ordered.batch;
  const SweepState state = new_sweep(queue, ordered, args.term, chunk);
  const int64_t terms = batch.num_anchors * chunk;
  SemiHardPairsParams pairs{
      new_sweep_params(queue, state, data),       false,
      queue.template allocate<int64_t>(terms),    queue.template allocate<int64_t>(terms),
      queue.template allocate<double>(2 * terms), queue.template allocate<double>(terms)};
  MinedParams mined = new_mined_params(
      queue, args, {chunk, pairs.positive, pairs.negative, pairs.distances, pairs.slope});
  mined.most_terms = state.most_positives;
  const int64_t rounds = num_rounds(state);
  if (rounds > 1) {
    mined.sums = mined.ref_sums = queue.template allocate<double>(batch.num_anchors * batch.dim);
    if (!batch.self) mined.ref_sums = queue.template allocate<double>(batch.num_refs * batch.dim);
  }
  for_rounds(state, [&](const SweepState& round) {
    pairs.sweep.state = round;
    pairs.last_round = round.round == rounds - 1;
    launch_sweep(queue, pairs.sweep);
    queue.launch(ceil_div(batch.num_anchors, kTripletWarps), kTripletThreads,
                 semi_hard_pairs_kernel, pairs);
    mined.earlier_terms = int64_t{round.round} * chunk;
    mined.last_round = pairs.last_round;
    launch_mined_gradients(queue, mined);
  });
}

}  // namespace fused_rankloss::cuda::triplet
