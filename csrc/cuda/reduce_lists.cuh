// SPDX-License-Identifier: BSD-3-Clause
//
// From the sums of each list to the loss: what the last block of the tile kernel does.
#pragma once

#include "common/pairwise_args.h"
#include "cuda/list_partials.cuh"
#include "cuda/shared_array.cuh"

namespace fused_rankloss {

// Sums over the lists of a batch.
struct BatchTotals {
  double scaled = 0;  // list sums, times what of their scale depends on the list alone
  double pairs = 0;   // (weighted) number of pairs
  double lists_with_pairs = 0;

  __device__ __forceinline__ void add(const BatchTotals& other) {
    scaled += other.scaled;
    pairs += other.pairs;
    lists_with_pairs += other.lists_with_pairs;
  }

  template <typename Shuffle>
  __device__ __forceinline__ BatchTotals shuffled(Shuffle shuffle) const {
    return {shuffle(scaled), shuffle(pairs), shuffle(lists_with_pairs)};
  }

  // `scaled` times the rest of the scale, which all lists share.
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
  __syncthreads();  // of an earlier call, everyone has read
  if (lane_index() == 0) warp_totals.store(warp_index(), totals);
  __syncthreads();
  BatchTotals sum;
  for (int warp = 0; warp < kWarps; ++warp) sum.add(warp_totals.load(warp));
  return sum;
}

// Offsets that nobody could check and that do not cut the slots into lists: which list a slot then
// belongs to has no answer, and every list is poisoned. Every thread calls this.
__device__ __forceinline__ bool offsets_are_broken(const Lists& lists) {
  bool broken = false;
  if (lists.offsets) {
    for (int64_t list = threadIdx.x; list < lists.num_lists; list += blockDim.x) {
      broken |= !lists.valid(list);
    }
  }
  return __syncthreads_or(broken) != 0;
}

// What reduce_lists needs of a call without margins, of whatever loss over lists.
template <class Args>
FRL_HD PairwiseArgs reduction_args(const Args& args) {
  PairwiseArgs reduced;
  static_cast<ListInputs&>(reduced) = args;
  reduced.reduction = args.reduction;
  reduced.loss = args.loss;
  reduced.list_scale = args.list_scale;
  return reduced;
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
    const bool margin_is_finite = args.margins == nullptr || is_finite(args.margins[k]);
    BatchTotals totals;
#pragma unroll 1
    for (int64_t first = warp_index() * kWarpSize; first < num_lists; first += kThreads) {
      const ListPartial sum = sum_lists(partials, k, lists, first);
      const int64_t list = first + lane_index();
      if (list >= num_lists) continue;

      const bool poisoned = broken || sum.pairs != sum.pairs || !lists.valid(list);
      // A poisoned list counts no pairs, so that the scale of the others does not depend on it.
      const double pairs = poisoned ? 0 : sum.pairs;
      double value = sum.value.total();
      // Counted pairs add no less than 0 each: below it, only the rounding of their sum.
      if (args.counts && value < 0) value = 0;
      if (poisoned || !margin_is_finite) value = kNan<double>;
      if (args.margin_slope != nullptr) {
        args.margin_slope[k * num_lists + list] = poisoned ? kNan<double> : sum.slope;
      }
      if (args.reduction == Reduction::kNone) {
        loss[k * num_lists + list] = static_cast<Real>(value);
      }
      // The thread that stores the pairs here is the one that turns them into the scale below.
      if (k == 0) args.list_scale[list] = poisoned ? kNan<double> : pairs;
      totals.scaled += value * reduction_scale(args.reduction, pairs, 1, 1, num_lists);
      totals.pairs += pairs;
      totals.lists_with_pairs += pairs > 0;
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
        args.list_scale[list] = reduction_scale(args.reduction, pairs, totals.pairs,
                                                totals.lists_with_pairs, num_lists);
      }
    }
  }
}

}  // namespace fused_rankloss
