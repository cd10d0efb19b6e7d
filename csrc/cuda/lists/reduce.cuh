// SPDX-License-Identifier: BSD-3-Clause
//
// Reduces the sums of each list to the loss; the last block of the tile kernel runs this.
#pragma once

#include "args/pairwise.h"
#include "cuda/lists/partials.cuh"
#include "cuda/primitives/shared_array.cuh"

namespace fused_rankloss::cuda {

// Sums over the lists of a batch.
struct BatchTotals {
  double scaled = 0;  // list sums, times the factors of their scale that depend on the list only
  double pairs = 0;   // (weighted) number of pairs, times the weight of their list
  double lists_with_pairs = 0;  // their summed weights

  __device__ __forceinline__ void add(const BatchTotals& other) {
    scaled += other.scaled;
    pairs += other.pairs;
    lists_with_pairs += other.lists_with_pairs;
  }

  template <typename Shuffle>
  __device__ __forceinline__ BatchTotals shuffled(Shuffle shuffle) const {
    return {shuffle(scaled), shuffle(pairs), shuffle(lists_with_pairs)};
  }

  // `scaled` times the factors of the scale that all lists share.
  FRL_HD double loss(Reduction reduction) const {
    if (lists_with_pairs == 0) return scaled;
    return scaled * reduction_scale(reduction, 1, pairs, lists_with_pairs, 1);
  }
};

// The sum over all threads of a block. Every thread calls this.
template <int kThreads>
__device__ __forceinline__ BatchTotals sum_over_block(BatchTotals totals) {
  constexpr int kWarps = kThreads / kWarpSize;
  __shared__ SharedArray<BatchTotals, kWarps> warp_totals;
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    totals.add(totals.shuffled(
        [distance](double value) { return __shfl_down_sync(kAllLanes, value, distance); }));
  }
  __syncthreads();  // all threads have read `warp_totals` of an earlier call
  if (lane_index() == 0) warp_totals.store(warp_index(), totals);
  __syncthreads();
  BatchTotals sum;
  for (int warp = 0; warp < kWarps; ++warp) sum.add(warp_totals.load(warp));
  return sum;
}

// Whether the offsets, which are in device memory and not checked before, do not partition the
// slots into lists. The list of a slot is then undefined, and every list is poisoned. Every thread
// calls this.
__device__ __forceinline__ bool offsets_are_broken(const Lists& lists) {
  bool broken = false;
  if (lists.offsets) {
    for (int64_t list = threadIdx.x; list < lists.num_lists; list += blockDim.x) {
      broken |= !lists.valid(list);
    }
  }
  return __syncthreads_or(broken) != 0;
}

// For a list of a batch with broken offsets. The last kernel that writes statistics calls this.
FRL_HD void poison_statistics(const PairwiseArgs& args, int64_t list) {
  if (args.statistics == nullptr) return;
  args.statistics[3 * list] = 0;
  args.statistics[3 * list + 1] = args.statistics[3 * list + 2] = kNan<double>;
}

// The arguments of reduce_lists for a list loss without margins.
template <class Args>
FRL_HD PairwiseArgs reduction_args(const Args& args) {
  PairwiseArgs reduced;
  static_cast<ListInputs&>(reduced) = args;
  reduced.reduction = args.reduction;
  reduced.loss = args.loss;
  reduced.list_scale = args.list_scale;
  return reduced;
}

// The results of a list from its sums. A list without pairs, with pairs of weight 0 only, or with a
// list weight of 0, is exactly 0 for every margin, even at infinite gaps. A poisoned list counts no
// pairs, so that the scale of other lists does not depend on it.
struct ListOutcome {
  double weight;  // of the list, not in `value` and `slope`
  double value;
  double slope;
  double pairs;
  bool poisoned;  // its scale is NaN, and therefore all of its gradients

  FRL_HD BatchTotals totals(const PairwiseArgs& args) const {
    const double scale = reduction_scale(args.reduction, pairs, 1, 1, args.lists.num_lists);
    if (!(pairs > 0)) return {value * scale, 0, 0};
    return {weight * value * scale, weight * pairs, weight};
  }
};

FRL_HD ListOutcome list_outcome(const PairwiseArgs& args, int64_t k, int64_t list, bool is_poisoned,
                                const ListPartial& sum) {
  constexpr double kNone = kNan<double>;
  const double weight = args.list_weight(list);
  if (is_poisoned || !is_weight(weight) || !is_finite(sum.pairs)) {
    return {weight, kNone, kNone, 0, true};
  }
  if (!(sum.pairs > 0) || weight == 0) return {weight, 0, 0, 0, false};
  const double margin = args.margin_of(k);
  if (!is_finite(margin) && (margin != margin || sum.slope != sum.slope)) {
    return {weight, kNone, kNone, sum.pairs, false};
  }
  const double value = sum.value.total();
  // Each counted pair adds at least 0: a negative sum is a rounding error.
  return {weight, args.counts && value < 0 ? 0 : value, sum.slope, sum.pairs, false};
}

// If one margin has an undefined slope for a list, all gradients of the list are NaN. Gradients may
// be integers, which have no NaN, so the list's scale is set to NaN instead. All threads of a block
// call this, each after it stored the scales of lists threadIdx.x, threadIdx.x + kThreads, ...
template <int kThreads>
__device__ __forceinline__ void mark_margins(const PairwiseArgs& args) {
  const int64_t num_lists = args.lists.num_lists;
  for (int64_t k = 0; args.margins != nullptr && k < args.num_margins; ++k) {
    if (is_finite(args.margins[k])) continue;
#pragma unroll 1
    for (int64_t list = threadIdx.x; list < num_lists; list += kThreads) {
      const double slope = args.margin_slope[k * num_lists + list];
      if (slope != slope) args.list_scale[list] = kNan<double>;
    }
  }
}

// Writes loss, list_scale and margin_slope from the partials of all chunks. Every thread of one
// block calls this.
template <typename Real, int kThreads>
__device__ __forceinline__ void reduce_lists(const PairwiseArgs& args,
                                             const ListPartials& partials) {
  const Lists& lists = args.lists;
  const int64_t num_lists = lists.num_lists;
  const bool broken = offsets_are_broken(lists);
  Real* loss = static_cast<Real*>(args.loss);

  for (int64_t k = 0; k < args.num_margins; ++k) {
    BatchTotals totals;
#pragma unroll 1
    for (int64_t first = warp_index() * kWarpSize; first < num_lists; first += kThreads) {
      const ListPartial sum = sum_lists(partials, k, lists, first);
      const int64_t list = first + lane_index();
      if (list >= num_lists) continue;

      const ListOutcome outcome = list_outcome(args, k, list, broken || !lists.valid(list), sum);
      if (broken) poison_statistics(args, list);
      if (args.margin_slope != nullptr) {
        args.margin_slope[k * num_lists + list] = outcome.slope / args.unit(list);
      }
      if (args.reduction == Reduction::kNone) {
        loss[k * num_lists + list] = static_cast<Real>(outcome.weight * outcome.value);
      }
      // The thread that stores the pairs here is the one that turns them into the scale below.
      if (k == 0) args.list_scale[list] = outcome.poisoned ? kNan<double> : outcome.pairs;
      totals.add(outcome.totals(args));
    }
    totals = sum_over_block<kThreads>(totals);
    if (threadIdx.x == 0 && args.reduction != Reduction::kNone) {
      loss[k] = static_cast<Real>(totals.loss(args.reduction));
    }
    if (k > 0) continue;
    for (int64_t first = warp_index() * kWarpSize; first < num_lists; first += kThreads) {
      const int64_t list = first + lane_index();
      if (list >= num_lists) continue;
      const double pairs = args.list_scale[list];
      if (pairs == pairs) {
        args.list_scale[list] =
            weighted(args.list_weight(list),
                     reduction_scale(args.reduction, pairs, totals.pairs, totals.lists_with_pairs,
                                     num_lists, args.unit(list)));
      }
    }
  }
  mark_margins<kThreads>(args);
}

}  // namespace fused_rankloss::cuda
