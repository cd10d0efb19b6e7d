// SPDX-License-Identifier: BSD-3-Clause
//
// Batches of short lists: the pairs of each list enumerated by one warp or one block
// (list_pairs.cuh), in one launch.
//
// Mapping      A block owns consecutive lists: `lists_per_block` of them. A list of up to
//              kWarpListItems slots is one warp's, a longer one is the whole block's, up to
//              kBlockListItems; whatever is longer is left to other kernels. K margins are K times
//              as many blocks, in grid.x.
// Memory       The workspace is 24 bytes a block
// Determinism  Bitwise, and a list's sums depend on nothing outside of it. The one atomic counts
//              finished blocks.
#pragma once

#include <algorithm>

#include "cuda/list_pairs.cuh"
#include "cuda/list_results.cuh"
#include "cuda/list_team.cuh"
#include "cuda/short_lists.h"

namespace fused_rankloss {

// ---- Parameters ------------------------------------------------------------

struct ShortListsParams {
  PairwiseArgs args;
  ListPartials partials;       // takes the lists' sums where another kernel finishes the batch
  BatchTotals* records;        // or else, workspace: [K, blocks_per_margin]
  uint32_t* finished_blocks;   // and this, 0
  uint32_t blocks_per_margin;  // the grid: K times as many; 1 for an empty batch, which has a loss
  int32_t lists_per_block;
  int32_t longest;  // longer lists are left alone

  FRL_HD double margin(int64_t k) const { return args.margins ? args.margins[k] : args.margin; }
  FRL_HD bool finishes() const { return partials.data == nullptr; }
};

// ---- Kernel ----------------------------------------------------------------

template <class Term>
__global__ void __launch_bounds__(ListTeam::kBlockThreads, kListBlocks<typename Term::Real>)
    short_lists_kernel(const __grid_constant__ ShortListsParams params) {
  using Real = typename Term::Real;
  __shared__ ShortListsShared<Term> shared;

  const PairwiseArgs& args = params.args;
  const Lists& lists = args.lists;
  const unsigned k = blockIdx.x / params.blocks_per_margin;
  const unsigned block = blockIdx.x % params.blocks_per_margin;
  const int64_t first_list = static_cast<int64_t>(block) * params.lists_per_block;
  const int num_lists =
      static_cast<int>(Lists::clamp(lists.num_lists - first_list, 0, params.lists_per_block));
  const Term term(args, params.margin(k));

  // At first every warp has a list. What is too long for a warp comes after that, one by one.
  int steps = 1;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    const bool is_block = step > 0;
    const int i = is_block ? step - 1 : warp_index();
    const Range range = i < num_lists ? lists.slots(first_list + i) : Range{0, 0};
    const bool longer = range.size() > kWarpListItems && range.size() <= params.longest;
    if (i < num_lists && (is_block ? longer : range.size() <= kWarpListItems)) {
      ListTeam team(shared.team, is_block);
      const ShortList own{range.begin, k * lists.num_slots + range.begin,
                          static_cast<int>(range.size())};
      const ListPartial sum = solve_list(term, team, shared, args, own);
      if (team.thread() == 0) shared.sums.store(i, sum);
    }
    if (!is_block && __syncthreads_or(longer) != 0) steps = 1 + num_lists;
  }
  __syncthreads();

  // The block's lists, a thread each.
  if (warp_index() == 0) {
    BatchTotals totals;
    const int64_t list = first_list + lane_index();
    const Range range = lane_index() < num_lists ? lists.slots(list) : Range{0, 0};
    if (lane_index() < num_lists && range.size() <= params.longest) {
      const ListPartial sum = shared.sums.load(lane_index());
      if (params.finishes()) {
        totals = store_list<Real>(args, k, list, sum);
      } else {
        params.partials.at(k, range.begin / kWarpSize, list) = sum;
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
  finish_batch<Real, ListTeam::kBlockThreads>(args, params.records, params.blocks_per_margin);
}

// ---- Launch ----------------------------------------------------------------

// What a launcher needs to know; it brings the memory, the stream and the launch itself.
class ShortListsPlan {
 public:
  static constexpr int kThreads = ListTeam::kBlockThreads;

  // `partials`: where another kernel takes the longer lists and finishes the batch.
  explicit ShortListsPlan(const PairwiseArgs& args, const ListPartials& partials = {})
      : args_(args), partials_(partials) {
    // A warp each if the average list is a warp's. Which block a list comes to changes nothing in
    // its sums.
    const Lists& lists = args.lists;
    const bool short_on_average = lists.num_slots <= lists.num_lists * kWarpListItems;
    lists_per_block_ = short_on_average ? kListWarps : 1;
    const int64_t blocks = (lists.num_lists + lists_per_block_ - 1) / lists_per_block_;
    blocks_per_margin_ = std::max<int64_t>(1, blocks);
  }

  int64_t num_blocks() const { return blocks_per_margin_ * args_.num_margins; }

  // [K, blocks] records, then the counter.
  int64_t workspace_bytes() const { return record_bytes() + int64_t{sizeof(uint32_t)}; }

  // `workspace`: not used where there are partials.
  ShortListsParams params(void* workspace) const {
    ShortListsParams params{.args = args_,
                            .partials = partials_,
                            .records = nullptr,
                            .finished_blocks = nullptr,
                            .blocks_per_margin = static_cast<uint32_t>(blocks_per_margin_),
                            .lists_per_block = lists_per_block_,
                            .longest = static_cast<int32_t>(longest_short_list(args_.counts))};
    if (params.finishes()) {
      char* bytes = static_cast<char*>(workspace);
      params.records = reinterpret_cast<BatchTotals*>(bytes);
      params.finished_blocks = reinterpret_cast<uint32_t*>(bytes + record_bytes());
    }
    return params;
  }

 private:
  int64_t record_bytes() const { return num_blocks() * int64_t{sizeof(BatchTotals)}; }

  const PairwiseArgs& args_;
  ListPartials partials_;
  int64_t blocks_per_margin_;
  int32_t lists_per_block_;
};

}  // namespace fused_rankloss
