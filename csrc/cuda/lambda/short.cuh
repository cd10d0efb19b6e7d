// SPDX-License-Identifier: BSD-3-Clause
//
// Lambda losses of lists that fit the shared memory of a block: all of a batch in one launch.
//
// Mapping      As in pairwise/short.cuh: a block owns consecutive lists, of which a warp solves
// those
//              of up to kWarpListItems slots and the block those of up to kShortLambda. Whatever is
//              longer is left to other kernels.
// Steps        short_items.cuh sorts and weighs the items, short_pairs.cuh enumerates
//              the pairs. Slots are read once or twice, gradients written once.
// Determinism  Bitwise, and a list's results depend on its items alone: not on its neighbours, its
//              padding, nor on whether a warp or a block solves it. The one atomic counts finished
//              blocks.
#pragma once

#include "cuda/lambda/launchers.h"
#include "cuda/lambda/short_pairs.cuh"
#include "cuda/lists/lists.cuh"
#include "cuda/lists/short_batch.cuh"

namespace fused_rankloss::cuda::lambda {

// ---- Parameters ------------------------------------------------------------

struct ShortLambdaParams : ShortListsEnd {
  LambdaArgs args;
  const uint32_t* weight_exponents;  // see PairwiseArgs
  int64_t longest;                   // slots of a list, of those that are not left to others
  int32_t lists_per_block;
};

// ---- One list --------------------------------------------------------------

// Gradient 0 behind a row's length, NaN for the items of a poisoned list.
template <typename Real>
__device__ __forceinline__ void fill_gradients(const LambdaArgs& args, const ListTeam& team,
                                               const ShortSlots& slots, bool poisoned) {
  Real* gradients = static_cast<Real*>(args.raw_grad);
  if (gradients == nullptr) return;
  const bool has_tail = args.lists.lengths && !args.lists.offsets;
  const int64_t end = has_tail ? args.lists.width : slots.size;
#pragma unroll 1
  for (int64_t slot = slots.size + team.thread(); slot < end; slot += team.size()) {
    gradients[slots.begin + slot] = 0;
  }
#pragma unroll 1
  for (int slot = team.thread(); poisoned && slot < slots.size; slot += team.size()) {
    if (args.lists.is_real(slots.begin + slot)) gradients[slots.begin + slot] = kNan<Real>;
  }
}

// All of one list, but for what depends on the batch. All threads of the team call this, and get
// the list's share. Gradients are in units of `unit`.
template <class Loss, typename Real>
__device__ __forceinline__ ListPartial solve_short_lambda(const LambdaArgs& args,
                                                          const ListTeam& team,
                                                          LambdaCells<Real>& cells,
                                                          const ShortSlots& slots, double unit) {
  double* statistics = args.statistics == nullptr ? nullptr : args.statistics + 3 * slots.list;
  const ShortItems items = LambdaItemsReader<Real>(args, team, cells, slots).read();
  TeamSums sums;
  double factor = args.scale;
  if (!items.poisoned) {
    LambdaRows<Loss, Real> rows(args, team, cells, slots, items);
    sums = rows.solve();
    factor *= args.list_normalization
                  ? list_normalizer(2 * args.scale * args.slope_scale() * sums.slope)
                  : 1;
    const bool poisoned = !is_finite(sums.pairs);
    rows.store_gradients(poisoned ? kNan<double> : factor * args.slope_scale() / unit);
    if (statistics != nullptr) {
      const double twice = rows.count_ordered();
      const double ordered = sum_of_team(team, cells.words, {twice, 0, 0}).value / 2;
      if (team.thread() == 0) statistics[1] = ordered;
    }
  }
  fill_gradients<Real>(args, team, slots, items.poisoned);
  const bool poisoned = items.poisoned || !is_finite(sums.pairs);
  if (poisoned && statistics != nullptr && team.thread() == 0) {
    statistics[0] = 0;
    statistics[1] = statistics[2] = kNan<double>;
  }
  return {{factor * sums.value, 0}, 0, poisoned ? kNan<double> : sums.pairs};
}

// ---- Kernel ----------------------------------------------------------------

template <class Loss, typename Real>
__global__ void __launch_bounds__(ListTeam::kBlockThreads, kShortLambdaBlocks<Real>)
    lambda_short_kernel(const __grid_constant__ ShortLambdaParams params) {
  __shared__ LambdaCells<Real> cells;

  const LambdaArgs& args = params.args;
  const PairwiseArgs reduced = reduction_args(args, params.weight_exponents);
  const BlockLists own = lists_of_block(args.lists, blockIdx.x, params.lists_per_block);
  for_short_lists(args.lists, own, params.longest, [&](bool is_block, int i, const Range& range) {
    const ListTeam team(cells.team, is_block);
    const ShortSlots slots{own.first + i, range.begin, static_cast<int>(range.size())};
    const ListPartial sum =
        solve_short_lambda<Loss>(args, team, cells, slots, reduced.unit(slots.list));
    if (team.thread() == 0) cells.sums.store(i, sum);
    team.sync();  // before the next list's items overwrite this one's
  });
  end_short_lists<Real>(params, reduced, 0, own, params.longest, cells.sums, gridDim.x);
}

// ---- Launch ----------------------------------------------------------------

// Calls `body.operator()<Loss, Real>()` with the pair loss of a call, and what scores are loaded
// as.
template <typename Body>
void dispatch_short_lambda(const LambdaArgs& args, Body&& body) {
  const bool wide = args.score_type == ScoreType::kDouble;
  switch (args.pair_loss) {
    case PairLoss::kHinge:
      if (wide) return body.template operator()<GapTerm<Hinge>, double>();
      return body.template operator()<GapTerm<Hinge>, float>();
    case PairLoss::kSquaredHinge:
      if (wide) return body.template operator()<GapTerm<SquaredHinge>, double>();
      return body.template operator()<GapTerm<SquaredHinge>, float>();
    default:
      if (wide) return body.template operator()<WideLogistic, double>();
      return body.template operator()<FloatLogistic, float>();
  }
}

template <class Queue>
void run_short_lambda(Queue& queue, const LambdaArgs& args, int64_t longest,
                      const uint32_t* weight_exponents, const ListPartials& partials) {
  const ShortListsGrid grid(args.lists);
  const ShortLambdaParams params{short_lists_end(queue, partials, grid.num_blocks), args,
                                 weight_exponents, longest, grid.lists_per_block};
  dispatch_short_lambda(args, [&]<class Loss, typename Real>() {
    queue.launch(grid.num_blocks, ListTeam::kBlockThreads, lambda_short_kernel<Loss, Real>, params);
  });
}

}  // namespace fused_rankloss::cuda::lambda
