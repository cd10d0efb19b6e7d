// SPDX-License-Identifier: BSD-3-Clause
//
// From the sums over pairs to the results: each list's partial and statistics, gradients from
// positions to slots, and the end of the call.
//
// Mapping      A block a list, then a block a tile of positions; the end is one block's
// Determinism  a gradient is one thread's
#pragma once

#include "cuda/lambda/lists.cuh"
#include "cuda/lambda/long_params.cuh"
#include "cuda/primitives/grid.cuh"

namespace fused_rankloss::cuda::lambda {

// The share of a list in the loss, its statistics, and the factor of its gradients.
template <typename Real>
__device__ __forceinline__ void finish_list(const LambdaLongParams<Real>& params,
                                            const LongList& list) {
  const LambdaArgs& args = params.args;
  LambdaListFacts& facts = params.facts[list.list];
  const bool poisoned =
      facts.is_poisoned != 0 || !is_finite(facts.pair_weights) || !args.lists.valid(list.list);
  const PairSums sums = params.sums[list.list];
  double factor = args.scale;
  if (args.list_normalization) {
    factor *= list_normalizer(2 * args.scale * args.slope_scale() * sums.slope);
  }
  const double unit = reduction_args(args, params.weight_exponents).unit(list.list);
  facts.factor = poisoned ? kNan<double> : factor * args.slope_scale() / unit;
  ListPartial partial;
  partial.value.high = factor * sums.value;
  partial.pairs = poisoned ? kNan<double> : facts.pair_weights;
  params.partials.at(0, args.lists.slots(list.list).begin / kWarpSize, list.list) = partial;
  if (!params.wants_statistics()) return;
  double* statistics = args.statistics + 3 * list.list;
  statistics[0] = poisoned ? 0 : static_cast<double>(params.ordered[list.list].pairs);
  statistics[1] =
      poisoned ? kNan<double> : static_cast<double>(params.ordered[list.list].twice_ordered) / 2;
  statistics[2] = poisoned ? kNan<double> : facts.ndcg;
}

template <typename Real, class Team>
__device__ __forceinline__ void finish_lists(const Team& team,
                                             const LambdaLongParams<Real>& params) {
  const LambdaArgs& args = params.args;
  const int64_t thread = team.rank() * kScanThreads + threadIdx.x;
  const int64_t num_threads = team.size() * kScanThreads;
#pragma unroll 1
  for (int64_t row = thread; row < params.table->size; row += num_threads) {
    finish_list(params, params.table->lists[row]);
  }
  team.sync();
  if (args.raw_grad != nullptr) {
#pragma unroll 1
    for (int64_t position = thread; position < args.lists.num_slots; position += num_threads) {
      const int64_t slot = params.orders[0].slots[position];
      const int64_t list = list_of(args.lists, slot);
      if (!params.is_long(list)) continue;
      Real* gradient = static_cast<Real*>(args.raw_grad) + slot;
      const LambdaListFacts& facts = params.facts[list];
      if (params.label_ranks[position] != kInertRank) {
        *gradient = static_cast<Real>(facts.factor * params.gradients[position]);
      } else if (facts.is_poisoned != 0 && real_range(args.lists, list, slot).size() > 0) {
        *gradient = kNan<Real>;
      }
    }
  }
  if (team.rank() == 0) {
    reduce_lists<Real, kScanThreads>(reduction_args(args, params.weight_exponents),
                                     params.partials);
  }
}

template <typename Real>
__global__ void __launch_bounds__(kScanThreads, kLongBlocks)
    lambda_finish_kernel(const __grid_constant__ LambdaLongParams<Real> params) {
  const GridTeam team;
  finish_lists(team, params);
}

}  // namespace fused_rankloss::cuda::lambda
