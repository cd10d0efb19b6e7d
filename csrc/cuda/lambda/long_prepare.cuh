// SPDX-License-Identifier: BSD-3-Clause
//
// Preparation of the items of long lists before they are sorted by score (long_rank.cuh follows).
//
// Mapping      One thread per slot, for 8 slots in turn; the same threads write the tables by rank
// Memory       Scores, labels, weights and gains are read once; keys and slots are written once
// Determinism  Atomics set flags, bits, maxima and the entries of a GradeTable; no result depends
//              on the order of its entries
#pragma once

#include "cuda/lambda/lists.cuh"
#include "cuda/lambda/long_params.cuh"
#include "cuda/lists/prepare.cuh"

namespace fused_rankloss::cuda::lambda {

// atomicMax, with a load first: most labels are not the highest so far.
__device__ __forceinline__ void raise(unsigned long long& highest, uint64_t key) {
  if (static_cast<const volatile unsigned long long&>(highest) < key) {
    atomicMax(&highest, static_cast<unsigned long long>(key));
  }
}

template <typename Real>
__device__ __forceinline__ void store_rank_tables(const LambdaLongParams<Real>& params,
                                                  int64_t rank) {
  const double discount = params.args.discount(rank);
  params.rank_discounts[rank] = discount;
  if (params.deltas == nullptr) return;
  // The weight of two items whose ranks differ by rank + 1.
  params.deltas[rank + 1] =
      params.args.delta_factor() * fabs(discount - params.args.discount(rank + 1));
}

template <typename Real>
__global__ void __launch_bounds__(kScanThreads)
    lambda_prepare_kernel(const __grid_constant__ LambdaLongParams<Real> params) {
  const LambdaArgs& args = params.args;
#pragma unroll 1
  for (int i = 0; params.rank_discounts != nullptr && i < kItemsPerThread; ++i) {
    const int64_t rank = slot_of_tile(blockIdx.x, i);
    if (rank < params.longest && rank < args.lists.num_slots) store_rank_tables(params, rank);
  }
  prepare_tile<Real>(
      params, blockIdx.x, [](int64_t /*slot*/, int64_t /*list*/) {},
      [&](int64_t slot, int64_t list, uint64_t label_bits, bool /*has_nan*/) {
        const LambdaPoison poison = lambda_poison<Real>(args, slot);
        if (poison.loss) atomicExch(&params.facts[list].is_poisoned, 1u);
        if (poison.ndcg) atomicExch(&params.facts[list].has_no_ndcg, 1u);
        raise(params.facts[list].max_label, label_bits);
      },
      [&](int64_t slot) { static_cast<Real*>(args.raw_grad)[slot] = 0; });
}

}  // namespace fused_rankloss::cuda::lambda
