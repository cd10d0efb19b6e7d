// SPDX-License-Identifier: BSD-3-Clause
//
// Shared by the short-list kernels of all losses: the lists of a block, whether a warp or the block
// solves each, and the reduction of their sums.
#pragma once

#include <algorithm>

#include "common/workspace.h"
#include "cuda/lists/results.cuh"
#include "cuda/lists/warp_or_block.cuh"
#include "cuda/primitives/last_block.cuh"

namespace fused_rankloss::cuda {

// ---- Lists -----------------------------------------------------------------

// The consecutive lists of a block.
struct BlockLists {
  int64_t first;
  int size;
};

// Cuts a batch into blocks: one list per warp if the average list fits a warp, otherwise one list
// per block. The sums of a list do not depend on the block that solves it.
struct ShortListsGrid {
  explicit ShortListsGrid(const Lists& lists)
      : lists_per_block(lists.num_slots <= lists.num_lists * kWarpListItems ? kListWarps : 1),
        num_blocks(
            std::max<int64_t>(1, (lists.num_lists + lists_per_block - 1) / lists_per_block)) {}

  int32_t lists_per_block;
  int64_t num_blocks;  // 1 for an empty batch, which has a loss too
};

FRL_HD BlockLists lists_of_block(const Lists& lists, int64_t block, int32_t lists_per_block) {
  const int64_t first = block * lists_per_block;
  return {first, static_cast<int>(Lists::clamp(lists.num_lists - first, 0, lists_per_block))};
}

// Calls solve(is_block, i, slots) for the block's lists of up to `longest` slots. The threads of
// one warp call it for lists of up to kWarpListItems slots, all threads of the block for longer
// ones. All threads call this.
template <typename Solve>
__device__ __forceinline__ void for_short_lists(const Lists& lists, const BlockLists& own,
                                                int64_t longest, Solve&& solve) {
  // In the first step, each warp has a list. Lists that are too long for a warp follow one by one.
  int steps = 1;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    const bool is_block = step > 0;
    const int i = is_block ? step - 1 : warp_index();
    const Range slots = i < own.size ? lists.slots(own.first + i) : Range{0, 0};
    const bool is_short = i < own.size && slots.size() <= longest;
    const bool longer = is_short && slots.size() > kWarpListItems;
    if (is_short && longer == is_block) solve(is_block, i, slots);
    if (!is_block && __syncthreads_or(longer) != 0) steps = 1 + own.size;
  }
}

// ---- Sums ------------------------------------------------------------------

// Destination of the list sums of short lists: the kernel of longer lists, if there is one, which
// then finishes the call; otherwise the last block of this kernel.
struct ShortListsEnd {
  ListPartials partials;      // for the kernel of longer lists
  BatchTotals* records;       // otherwise, workspace: [K, blocks_per_margin]
  uint32_t* finished_blocks;  // and this, initially 0

  FRL_HD bool finishes() const { return partials.data == nullptr; }
};

// Allocates what a launch of `num_blocks` blocks needs.
template <class Queue>
ShortListsEnd short_lists_end(Queue& queue, const ListPartials& partials, int64_t num_blocks) {
  if (partials.data != nullptr) return {partials, nullptr, nullptr};
  const ShortListsEnd end = queue.workspace([&](Workspace& workspace) {
    return ShortListsEnd{partials, workspace.take<BatchTotals>(num_blocks),
                         workspace.take<uint32_t>(1)};
  });
  queue.zero(end.finished_blocks, 1);
  return end;
}

// Either stores the sums of the block's lists for the next kernel, or writes the lists' results;
// the last block then writes those of the batch. The end of a kernel: all threads of the grid call
// this.
template <typename Real>
__device__ __forceinline__ void end_short_lists(const ShortListsEnd& end, const PairwiseArgs& args,
                                                int64_t k, const BlockLists& own, int64_t longest,
                                                SharedArray<ListPartial, kListWarps>& sums,
                                                int64_t blocks_per_margin) {
  __syncthreads();
  // One lane per list.
  if (warp_index() == 0) {
    BatchTotals totals;
    const bool is_own = lane_index() < own.size;
    const int64_t list = own.first + lane_index();
    const Range slots = is_own ? args.lists.slots(list) : Range{0, 0};
    if (is_own && slots.size() <= longest) {
      const ListPartial sum = sums.load(lane_index());
      if (end.finishes()) {
        totals = store_list<Real>(args, k, list, sum);
      } else {
        end.partials.at(k, slots.begin / kWarpSize, list) = sum;
      }
    }
    totals = warp_sum(totals);
    if (lane_index() == 0 && end.finishes()) end.records[blockIdx.x] = totals;
  }
  if (!end.finishes() || !is_last_block(end.finished_blocks)) return;
  finish_batch<Real, WarpOrBlock::kBlockThreads>(args, end.records, blocks_per_margin);
}

}  // namespace fused_rankloss::cuda
