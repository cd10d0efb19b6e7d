// SPDX-License-Identifier: BSD-3-Clause
//
// The sweep over negatives (see state.cuh), for the loss and, in the backward pass, for the weight
// of each positive's distance.
//
//   semi-hard  The products give a negative's key within [key - bound, key + bound]. It can be a
//              positive's pick only if there is a threshold below key + bound whose pick so far is
//              above key - bound. Picks ascend with thresholds, so testing the greatest such
//              threshold is enough. Only then the canonical key is computed: about ln M times per
//              positive.
//   all        Distances come from the products, with two exceptions: those that are small relative
//              to the norms, and those that the bound cannot separate from a threshold. They are
//              computed from differences, so that ties are exact.
//
// Mapping      One block per 64 anchors, 16 per warp, with all tiles of 64 references. Each lane
// has
//              every 32nd negative of an anchor. Tiles with positives only are skipped.
// Memory       Both operands pass through L2 once per tile; an anchor's thresholds stay in L1.
// Numerics     fp64 sums of terms whose distances have the error of the products
//              (triplet/batch_hard/operands.cuh). Semi-hard picks and distances are canonical.
// Determinism  One warp sums an anchor. Counts of negatives are integers, added atomically.
#pragma once

#include "cuda/triplet/sweep/tile.cuh"

namespace fused_rankloss::cuda::triplet {

// The negatives of an anchor that are picked if no key is above the threshold (`greatest`), or if
// some key is NaN (`nan`).
struct SweepPicks {
  Pick greatest;
  Pick nan;
};

struct SweepParams {
  SweepState state;
  SearchData data;

  // semi-hard: results
  Pick* picks;            // [N, chunk], for each sorted threshold
  SweepPicks* fallbacks;  // [N]

  // all: sums of the anchor's terms, added to those of earlier rounds; null if not requested
  AnchorTerms* terms;  // [N], by index
  // all, backward: for each sorted threshold; null if not requested
  uint32_t* below;    // [N, chunk + 1], number of negatives whose first threshold above is this one
  uint32_t* reached;  // [N, chunk + 1], the same for the first threshold above or equal
  double* slopes;     // [N, chunk], sum of slopes of negatives that are not counted
};

// ---- All --------------------------------------------------------------------

// Adds one negative per lane, at distance v, or none if !valid.
__device__ __forceinline__ void add_negatives(const SweepParams& params, int64_t anchor,
                                              int32_t count, bool valid, double v,
                                              AnchorTerms& sums) {
  const SweepState& state = params.state;
  const TripletTerm term = state.term.term();
  const double* const thresholds = state.thresholds + state.first(anchor);
  const double last = thresholds[count - 1];
  // Some differences of infinite distances are undefined.
  if (term.soft || last - last != 0 || __any_sync(kAllLanes, valid && v != v)) {
    for (int32_t k = 0; k < count; ++k) {
      double slope = 0;
      if (valid) {
        const double gap = thresholds[k] - v, value = term.value(gap);
        slope = term.slope(gap);
        sums.value += value;
        sums.slope += slope;
        sums.nonzero += value <= 0 ? 0.0 : 1.0;
      }
      if (params.slopes != nullptr) {
        slope = sum_lanes(slope);
        if (lane_index() == 0) params.slopes[state.first(anchor) + k] += slope;
      }
    }
    return;
  }
  if (!valid) return;
  const int64_t reached =
      partition_point(thresholds, count, [v](double threshold) { return threshold < v; });
  int64_t above = reached;
  while (above < count && thresholds[above] == v) ++above;
  const double active = static_cast<double>(count - above);
  sums.slope += active + term.boundary * static_cast<double>(above - reached);
  sums.nonzero += active;
  if (above < count) sums.value += state.suffixes[state.first(anchor) + above] - active * v;
  if (params.below != nullptr) {
    const int64_t row = anchor * (state.chunk + 1);
    atomicAdd(&params.below[row + above], 1u);
    atomicAdd(&params.reached[row + reached], 1u);
  }
}

// Whether some threshold of the anchor is within `bound` of a negative's key, so that the side is
// undecided. Softplus has no sides.
__device__ __forceinline__ bool is_close(const SweepState& state, int64_t anchor, double key,
                                         double bound) {
  const int32_t count = state.count(anchor);
  if (state.term.soft || count == 0) return false;
  const Distance distance = state.ordered.batch.distance;
  const double* const thresholds = state.thresholds + state.first(anchor);
  const double least = distance_of_key(distance, key > bound ? key - bound : 0);
  const int64_t reached =
      partition_point(thresholds, count, [least](double threshold) { return threshold < least; });
  return reached < count && thresholds[reached] <= distance_of_key(distance, key + bound);
}

template <int kFp16Terms>
__device__ __forceinline__ void sweep_all(const SweepParams& params,
                                          const SweepTile<kFp16Terms>& tile, int r, int32_t count,
                                          int64_t first_column) {
  const OrderedBatch& ordered = params.state.ordered;
  const int64_t anchor = tile.row(r);
  const float bound = params.data.anchors.bounds[anchor];
  AnchorTerms sums;
#pragma unroll 1
  for (int column = lane_index(); column < kSweepTile.columns; column += kWarpSize) {
    const int64_t ref = first_column + column;
    const bool valid = ref < ordered.batch.num_refs && !ordered.same_label[anchor].contains(ref);
    const float value = valid ? tile.value(r, column) : 0;
    double key = tile.key(value);
    const bool asks = valid && (tile.is_small(r, column, value) ||
                                is_close(params.state, anchor, key, tile.key_bound(bound)));
    compare_directly(ordered, asks, anchor, ref, key);
    add_negatives(params, anchor, count, valid, distance_of_key(ordered.batch.distance, key), sums);
  }
  if (params.terms == nullptr) return;
  const double value = sum_lanes(sums.value), slope = sum_lanes(sums.slope);
  const double nonzero = sum_lanes(sums.nonzero);
  if (lane_index() != 0) return;
  AnchorTerms& terms = params.terms[ordered.anchors[anchor]];
  terms.value += value;
  terms.slope += slope;
  terms.nonzero += nonzero;
}

// ---- Semi-hard --------------------------------------------------------------

template <int kFp16Terms>
__device__ __forceinline__ void sweep_semi_hard(const SweepParams& params,
                                                const SweepTile<kFp16Terms>& tile, int r,
                                                int32_t count, int64_t first_column) {
  const SweepState& state = params.state;
  const OrderedBatch& ordered = state.ordered;
  const int64_t anchor = tile.row(r);
  const double* const thresholds = state.thresholds + state.first(anchor);
  Pick* const picks = params.picks + state.first(anchor);
  SweepPicks fallbacks = params.fallbacks[anchor];
  const double bound = tile.key_bound(params.data.anchors.bounds[anchor]);
#pragma unroll 1
  for (int column = lane_index(); column < kSweepTile.columns; column += kWarpSize) {
    const int64_t ref = first_column + column;
    bool asks = ref < ordered.batch.num_refs && !ordered.same_label[anchor].contains(ref);
    const float value = asks ? tile.value(r, column) : 0;
    if (asks && value > -INFINITY && fallbacks.greatest.position >= 0) {
      const double key = tile.key(value), most = key + bound;
      const int64_t below =
          partition_point(thresholds, count, [most](double threshold) { return threshold < most; });
      const bool better =
          below > 0 && (picks[below - 1].position < 0 || picks[below - 1].key >= key - bound);
      asks = better || most >= fallbacks.greatest.key;
    }
    unsigned asking = __ballot_sync(kAllLanes, asks);
    while (asking != 0) {
      const int owner = __ffs(static_cast<int>(asking)) - 1;
      asking &= asking - 1;
      const int64_t asked = __shfl_sync(kAllLanes, ref, owner);
      const Pick pick{canonical_key(ordered, anchor, asked), static_cast<int32_t>(asked),
                      ordered.refs[asked]};
      if (pick.key != pick.key) {
        fallbacks.nan.offer(false, pick);
        continue;
      }
      fallbacks.greatest.offer(true, pick);
      const int64_t below = partition_point(
          thresholds, count, [&pick](double threshold) { return threshold < pick.key; });
      for (int64_t k = lane_index(); k < below; k += kWarpSize) picks[k].offer(false, pick);
    }
    __syncwarp();  // the next columns read these picks
  }
  if (lane_index() == 0) params.fallbacks[anchor] = fallbacks;
  __syncwarp();
}

// ---- Kernels ----------------------------------------------------------------

// Before the first tile of a round: makes its thresholds and initialises its results.
__global__ void __launch_bounds__(kTripletThreads)
    start_sweep_kernel(const __grid_constant__ SweepParams params) {
  const SweepState& state = params.state;
  if (state.is_over()) return;
  const int64_t anchor = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  const int32_t count = state.count(anchor);
  if (count == 0) return;
  fill_thresholds(state, anchor, count);
  for (int32_t k = lane_index(); k < count; k += kWarpSize) {
    if (params.picks != nullptr) params.picks[state.first(anchor) + k] = {};
    if (params.slopes != nullptr) params.slopes[state.first(anchor) + k] = 0;
  }
  for (int32_t k = lane_index(); params.below != nullptr && k <= count; k += kWarpSize) {
    params.below[anchor * (state.chunk + 1) + k] = 0;
    params.reached[anchor * (state.chunk + 1) + k] = 0;
  }
  if (lane_index() != 0) return;
  if (params.fallbacks != nullptr) params.fallbacks[anchor] = {};
  if (params.terms != nullptr) {
    params.terms[state.ordered.anchors[anchor]].terms +=
        static_cast<double>(count) * static_cast<double>(state.ordered.num_negatives(anchor));
  }
}

template <int kFp16Terms, Mining kMining>
__global__ void __launch_bounds__(kSweepTile.threads(), kAnyBlocks)
    sweep_kernel(const __grid_constant__ SweepParams params) {
  using Tile = SweepTile<kFp16Terms>;
  __shared__ typename Tile::Shared shared;
  const SweepState& state = params.state;
  const OrderedBatch& ordered = state.ordered;
  if (state.is_over()) return;
  const int64_t first_row = int64_t{blockIdx.x} * kSweepTile.rows();
  const int64_t num_anchors = ordered.batch.num_anchors;
  const int64_t end_row =
      first_row + kSweepTile.rows() < num_anchors ? first_row + kSweepTile.rows() : num_anchors;
  const bool any = threadIdx.x < kSweepTile.rows() && state.count(first_row + threadIdx.x) > 0;
  if (__syncthreads_or(any) == 0) return;
  // Columns within all rows' classes.
  const int64_t inner_begin = ordered.same_label[end_row - 1].begin;
  const int64_t inner_end = ordered.same_label[first_row].end;

  Tile tile(params.data.anchors, params.data.refs, params.data.facts, params.data.num_slices,
            shared, first_row);
#pragma unroll 1
  for (int64_t column = 0; column < ordered.batch.num_refs; column += kSweepTile.columns) {
    if (inner_begin <= column && column + kSweepTile.columns <= inner_end) continue;
    tile.compute(column);
#pragma unroll 1
    for (int r = 0; r < Tile::kRows; ++r) {
      const int32_t count = state.count(tile.row(r));
      if (count == 0) continue;
      if constexpr (kMining == Mining::kAll) {
        sweep_all(params, tile, r, count, column);
      } else {
        sweep_semi_hard(params, tile, r, count, column);
      }
    }
    __syncwarp();  // before the next tile overwrites the values
  }
}

// The semi-hard terms of a round's positives, and the mined pair so far.
struct SemiHardTermsParams {
  SweepParams sweep;
  BatchTripletArgs args;
  AnchorTerms* terms;  // [N], by index
  Pick* hardest;       // [N], the greatest difference of a term, and its positive
};

// The negative of a sorted threshold.
__device__ __forceinline__ Pick negative_of(const SweepParams& params, int64_t anchor, int32_t k) {
  const SweepPicks& fallbacks = params.fallbacks[anchor];
  if (fallbacks.nan.position >= 0) return fallbacks.nan;
  const Pick& pick = params.picks[params.state.first(anchor) + k];
  return pick.position >= 0 ? pick : fallbacks.greatest;
}

__global__ void __launch_bounds__(kTripletThreads)
    semi_hard_terms_kernel(const __grid_constant__ SemiHardTermsParams params) {
  const SweepState& state = params.sweep.state;
  const OrderedBatch& ordered = state.ordered;
  const BatchTripletArgs& args = params.args;
  if (state.is_over()) return;
  const int64_t anchor = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  const int32_t count = state.count(anchor);
  if (count == 0) return;
  const Distance distance = ordered.batch.distance;
  const int64_t num_anchors = ordered.batch.num_anchors, index = ordered.anchors[anchor];
  const TripletTerm term = args.term.term();
  const double* const thresholds = state.thresholds + state.first(anchor);

  AnchorTerms sums;
  Pick hardest;  // its position is the index of a threshold
  for (int32_t k = lane_index(); k < count; k += kWarpSize) {
    const double to_positive = distance_of_key(distance, thresholds[k]);
    const double to_negative = distance_of_key(distance, negative_of(params.sweep, anchor, k).key);
    const double gap = term.gap(to_positive, to_negative), value = term.value(gap);
    sums.value += value;
    sums.slope += term.slope(gap);
    sums.nonzero += value <= 0 ? 0.0 : 1.0;
    const int64_t ref = state.ref_of(anchor, state.elements[state.first(anchor) + k]);
    hardest.offer(true, {to_positive - to_negative, k, ordered.refs[ref]});
  }
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    hardest.offer(true, {__shfl_xor_sync(kAllLanes, hardest.key, distance),
                         __shfl_xor_sync(kAllLanes, hardest.position, distance),
                         __shfl_xor_sync(kAllLanes, hardest.index, distance)});
  }
  const double value = sum_lanes(sums.value), slope = sum_lanes(sums.slope);
  const double nonzero = sum_lanes(sums.nonzero);
  if (lane_index() != 0) return;

  AnchorTerms& terms = params.terms[index];
  terms.value += value;
  terms.slope += slope;
  terms.terms += count;
  terms.nonzero += nonzero;
  Pick& earlier = params.hardest[anchor];
  const Pick before = earlier;
  earlier.offer(true, hardest);
  if (before.position >= 0 && earlier.index == before.index) return;
  const Pick negative = negative_of(params.sweep, anchor, hardest.position);
  args.positive[index] = hardest.index;
  args.negative[index] = negative.index;
  args.distances[index] = distance_of_key(distance, thresholds[hardest.position]);
  args.distances[num_anchors + index] = distance_of_key(distance, negative.key);
}

// Initial results: those of an anchor without a triplet.
struct NoTripletsParams {
  BatchTripletArgs args;
  AnchorTerms* terms;
  Pick* hardest;     // null: not used
  bool mined_pairs;  // false: another kernel writes the mined pairs
};

__global__ void __launch_bounds__(kTripletThreads)
    no_triplets_kernel(const __grid_constant__ NoTripletsParams params) {
  const int64_t anchor = int64_t{blockIdx.x} * kTripletThreads + threadIdx.x;
  const int64_t num_anchors = params.args.batch.num_anchors;
  if (anchor >= num_anchors) return;
  params.terms[anchor] = {};
  if (params.hardest != nullptr) params.hardest[anchor] = {};
  if (!params.mined_pairs) return;
  params.args.positive[anchor] = params.args.negative[anchor] = -1;
  params.args.distances[anchor] = params.args.distances[num_anchors + anchor] =
      static_cast<double>(NAN);
}

// ---- Launches ---------------------------------------------------------------

template <class Queue>
void launch_sweep(Queue& queue, const SweepParams& params) {
  const TripletBatch& batch = params.state.ordered.batch;
  queue.launch(ceil_div(batch.num_anchors, kTripletWarps), kTripletThreads, start_sweep_kernel,
               params);
  const auto launch = [&](auto kernel) {
    queue.launch(ceil_div(batch.num_anchors, kSweepTile.rows()), kSweepTile.threads(), kernel,
                 params);
  };
  if (batch.mining == Mining::kAll) {
    if (batch.type == ScoreType::kDouble) {
      launch(sweep_kernel<0, Mining::kAll>);
    } else if (params.data.fp16_terms == 2) {
      launch(sweep_kernel<2, Mining::kAll>);
    } else {
      launch(sweep_kernel<1, Mining::kAll>);
    }
  } else if (params.data.fp16_terms == 2) {
    launch(sweep_kernel<2, Mining::kSemiHard>);
  } else {
    launch(sweep_kernel<1, Mining::kSemiHard>);
  }
}

// Parameters of a sweep, with the result arrays of semi-hard.
template <class Queue>
SweepParams new_sweep_params(Queue& queue, const SweepState& state, const SearchData& data) {
  const int64_t anchors = state.ordered.batch.num_anchors;
  SweepParams params{state, data};
  if (!state.is_all()) {
    params.picks = queue.template allocate<Pick>(anchors * state.chunk);
    params.fallbacks = queue.template allocate<SweepPicks>(anchors);
  }
  return params;
}

// The terms of every anchor, by index; for semi-hard also the mined pairs.
template <class Queue>
const AnchorTerms* launch_sweeps(Queue& queue, const OrderedBatch& ordered, const SearchData& data,
                                 const BatchTripletArgs& args, int32_t chunk) {
  const int64_t anchors = ordered.batch.num_anchors;
  AnchorTerms* const terms = queue.template allocate<AnchorTerms>(anchors);
  const bool all = ordered.batch.mining == Mining::kAll;
  Pick* const hardest = all ? nullptr : queue.template allocate<Pick>(anchors);
  queue.launch(ceil_div(anchors, kTripletThreads), kTripletThreads, no_triplets_kernel,
               NoTripletsParams{args, terms, hardest, !all || !args.needs_mined});
  const SweepState state = new_sweep(queue, ordered, args.term, chunk);
  SweepParams params = new_sweep_params(queue, state, data);
  params.terms = all ? terms : nullptr;
  for_rounds(state, [&](const SweepState& round) {
    params.state = round;
    launch_sweep(queue, params);
    if (all) return;
    queue.launch(ceil_div(anchors, kTripletWarps), kTripletThreads, semi_hard_terms_kernel,
                 SemiHardTermsParams{params, args, terms, hardest});
  });
  return terms;
}

}  // namespace fused_rankloss::cuda::triplet
