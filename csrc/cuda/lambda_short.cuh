// SPDX-License-Identifier: BSD-3-Clause
//
// Lambda losses of lists that fit the shared memory of a block: all of a batch in one launch.
//
// Mapping      As in short_lists.cuh: a block owns consecutive lists, of which a warp solves those
//              of up to kWarpListItems slots and the block those of up to kShortLambda. Whatever is
//              longer is left to other kernels.
// Steps        lambda_short_items.cuh sorts and weighs the items, lambda_short_pairs.cuh enumerates
//              the pairs. Slots are read once or twice, gradients written once.
// Determinism  Bitwise, and a list's results depend on its items alone: not on its neighbours, its
//              padding, nor on whether a warp or a block solves it. The one atomic counts finished
//              blocks.
#pragma once

#include <algorithm>

#include "cuda/lambda_short_pairs.cuh"
#include "cuda/list_results.cuh"
#include "cuda/lists.cuh"

namespace fused_rankloss {

// ---- Parameters ------------------------------------------------------------

struct ShortLambdaParams {
  LambdaArgs args;
  ListPartials partials;      // takes the lists' sums where another kernel finishes the batch
  BatchTotals* records;       // or else, workspace: [blocks]
  uint32_t* finished_blocks;  // and this, 0
  int32_t lists_per_block;

  FRL_HD bool finishes() const { return partials.data == nullptr; }
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
// the list's share.
template <class Loss, typename Real>
__device__ __forceinline__ ListPartial solve_short_lambda(const LambdaArgs& args,
                                                          const ListTeam& team,
                                                          LambdaCells<Real>& cells,
                                                          const ShortSlots& slots) {
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
    const bool poisoned = sums.pairs != sums.pairs;
    rows.store_gradients(poisoned ? kNan<double> : factor * args.slope_scale());
    if (statistics != nullptr) {
      const double twice = rows.count_ordered();
      const double ordered = sum_of_team(team, cells.words, {twice, 0, 0}).value / 2;
      if (team.thread() == 0) statistics[1] = ordered;
    }
  }
  fill_gradients<Real>(args, team, slots, items.poisoned);
  const bool poisoned = items.poisoned || sums.pairs != sums.pairs;
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
  const Lists& lists = args.lists;
  const int64_t first_list = static_cast<int64_t>(blockIdx.x) * params.lists_per_block;
  const int num_lists =
      static_cast<int>(Lists::clamp(lists.num_lists - first_list, 0, params.lists_per_block));

  // At first every warp has a list. What is too long for a warp comes after that, one by one.
  int steps = 1;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    const bool is_block = step > 0;
    const int i = is_block ? step - 1 : warp_index();
    const Range range = i < num_lists ? lists.slots(first_list + i) : Range{0, 0};
    const bool longer = range.size() > kWarpListItems && range.size() <= kShortLambda;
    if (i < num_lists && (is_block ? longer : range.size() <= kWarpListItems)) {
      const ListTeam team(cells.team, is_block);
      const ShortSlots slots{first_list + i, range.begin, static_cast<int>(range.size())};
      const ListPartial sum = solve_short_lambda<Loss>(args, team, cells, slots);
      if (team.thread() == 0) cells.sums.store(i, sum);
      team.sync();  // before the next list's items overwrite this one's
    }
    if (!is_block && __syncthreads_or(longer) != 0) steps = 1 + num_lists;
  }
  __syncthreads();

  // The block's lists, a thread each.
  const PairwiseArgs results = reduction_args(args);
  if (warp_index() == 0) {
    BatchTotals totals;
    const int64_t list = first_list + lane_index();
    const Range range = lane_index() < num_lists ? lists.slots(list) : Range{0, 0};
    if (lane_index() < num_lists && range.size() <= kShortLambda) {
      const ListPartial sum = cells.sums.load(lane_index());
      if (params.finishes()) {
        totals = store_list<Real>(results, 0, list, sum);
      } else {
        params.partials.at(0, range.begin / kWarpSize, list) = sum;
      }
    }
    totals = warp_sum(totals);
    if (lane_index() == 0 && params.finishes()) params.records[blockIdx.x] = totals;
  }
  if (!params.finishes()) return;
  // Each thread's results become visible to other blocks before its block counts as finished.
  __threadfence();
  __syncthreads();
  const bool finished_last =
      threadIdx.x == 0 && atomicAdd(params.finished_blocks, 1u) == gridDim.x - 1;
  if (__syncthreads_or(finished_last) == 0) return;
  __threadfence();
  finish_batch<Real, ListTeam::kBlockThreads>(results, params.records, gridDim.x);
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

// What a launcher needs to know; it brings the memory, the stream and the launch itself.
class ShortLambdaPlan {
 public:
  static constexpr int kThreads = ListTeam::kBlockThreads;

  // `partials`: where another kernel takes the longer lists and finishes the batch.
  explicit ShortLambdaPlan(const LambdaArgs& args, const ListPartials& partials = {})
      : args_(args), partials_(partials) {
    // A warp each if the average list is a warp's. Which block a list comes to changes nothing in
    // its sums.
    const Lists& lists = args.lists;
    const bool short_on_average = lists.num_slots <= lists.num_lists * kWarpListItems;
    lists_per_block_ = short_on_average ? kListWarps : 1;
    num_blocks_ = std::max<int64_t>(1, (lists.num_lists + lists_per_block_ - 1) / lists_per_block_);
  }

  int64_t num_blocks() const { return num_blocks_; }  // 1 for an empty batch, which has a loss

  // [blocks] records, then the counter.
  int64_t workspace_bytes() const { return record_bytes() + int64_t{sizeof(uint32_t)}; }

  // `workspace`: not used where there are partials.
  ShortLambdaParams params(void* workspace) const {
    ShortLambdaParams params{.args = args_,
                             .partials = partials_,
                             .records = nullptr,
                             .finished_blocks = nullptr,
                             .lists_per_block = lists_per_block_};
    if (params.finishes()) {
      char* bytes = static_cast<char*>(workspace);
      params.records = reinterpret_cast<BatchTotals*>(bytes);
      params.finished_blocks = reinterpret_cast<uint32_t*>(bytes + record_bytes());
    }
    return params;
  }

 private:
  int64_t record_bytes() const { return num_blocks_ * int64_t{sizeof(BatchTotals)}; }

  const LambdaArgs& args_;
  ListPartials partials_;
  int64_t num_blocks_;
  int32_t lists_per_block_;
};

}  // namespace fused_rankloss
