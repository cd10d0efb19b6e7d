// SPDX-License-Identifier: BSD-3-Clause
//
// From the sums of a list to the results, for kernels in which one warp or block solves a list:
//
//   store_list     writes the results of the list, and returns its partial sum of the batch
//   finish_batch   in the last block: sums the partial sums, one per block, and writes the results
//                  that depend on the batch
//
// Determinism  partial sums are added in an order that depends only on their number
#pragma once

#include "args/pairwise.h"
#include "cuda/lists/reduce.cuh"

namespace fused_rankloss::cuda {

// Whether a list's scale depends on the other lists.
FRL_HD bool scale_needs_batch(Reduction reduction) {
  return reduction == Reduction::kMean || reduction == Reduction::kListMean;
}

// Writes loss (kNone), margin_slope (if requested) and list_scale of a list. If the scale depends
// on the batch, list_scale holds the list's pairs until finish_batch, NaN for a poisoned list.
template <typename Real>
__device__ __forceinline__ BatchTotals store_list(const PairwiseArgs& args, int64_t k, int64_t list,
                                                  const ListPartial& sum) {
  const int64_t num_lists = args.lists.num_lists;
  const bool valid = args.lists.valid(list);
  const ListOutcome outcome = list_outcome(args, k, list, !valid, sum);
  const double pairs = outcome.pairs;
  const double unit = args.unit(list);
  if (args.margin_slope != nullptr) {
    args.margin_slope[k * num_lists + list] = outcome.slope / unit;
  }
  if (args.reduction == Reduction::kNone) {
    static_cast<Real*>(args.loss)[k * num_lists + list] =
        static_cast<Real>(outcome.weight * outcome.value);
  }
  if (k == 0) {
    const double stored =
        scale_needs_batch(args.reduction)
            ? pairs
            : outcome.weight * reduction_scale(args.reduction, pairs, 1, 1, num_lists, unit);
    args.list_scale[list] = outcome.poisoned ? kNan<double> : stored;
  }
  BatchTotals totals = outcome.totals(args);
  // Offsets are not checked before. If they do not partition the slots into lists, the list of a
  // slot is undefined: lists_with_pairs = NaN poisons the whole batch.
  if (args.lists.offsets && !valid) totals.lists_with_pairs = kNan<double>;
  return totals;
}

// Every thread of one block calls this after all lists and partial sums were stored.
template <typename Real, int kThreads>
__device__ __forceinline__ void finish_batch(const PairwiseArgs& args,
                                             const BatchTotals* records,  // [K, num_records]
                                             int64_t num_records) {
  const int64_t num_lists = args.lists.num_lists;
  Real* loss = static_cast<Real*>(args.loss);
  for (int64_t k = 0; k < args.num_margins; ++k) {
    BatchTotals totals;
#pragma unroll 4
    for (int64_t record = threadIdx.x; record < num_records; record += kThreads) {
      totals.add(records[k * num_records + record]);
    }
    totals = sum_over_block<kThreads>(totals);
    const bool broken = totals.lists_with_pairs != totals.lists_with_pairs;
    if (args.reduction == Reduction::kNone) {
#pragma unroll 1
      for (int64_t list = threadIdx.x; broken && list < num_lists; list += kThreads) {
        loss[k * num_lists + list] = kNan<Real>;
      }
    } else if (threadIdx.x == 0) {
      loss[k] = broken ? kNan<Real> : static_cast<Real>(totals.loss(args.reduction));
    }
#pragma unroll 1
    for (int64_t list = threadIdx.x; broken && list < num_lists; list += kThreads) {
      args.list_scale[list] = kNan<double>;
      poison_statistics(args, list);
      if (args.margin_slope != nullptr) args.margin_slope[k * num_lists + list] = kNan<double>;
    }
    if (k > 0 || broken || !scale_needs_batch(args.reduction)) continue;
#pragma unroll 4
    for (int64_t list = threadIdx.x; list < num_lists; list += kThreads) {
      const double pairs = args.list_scale[list];
      const double scale =
          weighted(args.list_weight(list),
                   reduction_scale(args.reduction, pairs, totals.pairs, totals.lists_with_pairs,
                                   num_lists, args.unit(list)));
      args.list_scale[list] = pairs == pairs ? scale : pairs;
    }
  }
  mark_margins<kThreads>(args);
}

}  // namespace fused_rankloss::cuda
