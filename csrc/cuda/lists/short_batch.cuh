// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernels of short lists share, whatever the loss: which lists a block has, who solves
// each, and what becomes of their sums.
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

// How a batch is cut into blocks: with a list for each warp if the average list is a warp's. Which
// block a list comes to changes nothing in its sums.
struct ShortListsGrid {
  explicit ShortListsGrid(const Lists& lists)
      : lists_per_block(lists.num_slots <= lists.num_lists * kWarpListItems ? kListWarps : 1),
        num_blocks(
            std::max<int64_t>(1, (lists.num_lists + lists_per_block - 1) / lists_per_block)) {}

  int32_t lists_per_block;
  int64_t num_blocks;  // 1 for an empty batch, which has a loss
};

FRL_HD BlockLists lists_of_block(const Lists& lists, int64_t block, int32_t lists_per_block) {
  const int64_t first = block * lists_per_block;
  return {first, static_cast<int>(Lists::clamp(lists.num_lists - first, 0, lists_per_block))};
}

// Calls solve(is_block, i, slots) for the block's lists of up to `longest` slots: by the threads of
// a warp for those of up to kWarpListItems, else by all. All threads call this.
template <typename Solve>
__device__ __forceinline__ void for_short_lists(const Lists& lists, const BlockLists& own,
                                                int64_t longest, Solve&& solve) {
  // At first every warp has a list. What is too long for a warp comes after that, one by one.
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

// Where the sums of lists go that a warp or block has all of.
struct ShortListsEnd {
  ListPartials partials;      // to the kernel of longer lists, which finishes the call
  BatchTotals* records;       // or else, workspace: [K, blocks_per_margin]
  uint32_t* finished_blocks;  // and this, 0

  FRL_HD bool finishes() const { return partials.data == nullptr; }
};

// With the memory that a launch of so many blocks needs for it.
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

// Hands on the sums of the block's lists, or makes results of them, in the last block those of the
// batch. The end of a kernel: all threads of the grid call this.
template <typename Real>
__device__ __forceinline__ void end_short_lists(const ShortListsEnd& end, const PairwiseArgs& args,
                                                int64_t k, const BlockLists& own, int64_t longest,
                                                SharedArray<ListPartial, kListWarps>& sums,
                                                int64_t blocks_per_margin) {
  __syncthreads();
  // A thread a list.
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
  finish_batch<Real, ListTeam::kBlockThreads>(args, end.records, blocks_per_margin);
}

}  // namespace fused_rankloss::cuda
