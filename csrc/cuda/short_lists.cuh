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

#include "cuda/list_pairs.cuh"
#include "cuda/short_batch.cuh"
#include "cuda/short_lists.h"

namespace fused_rankloss {

// ---- Parameters ------------------------------------------------------------

struct ShortListsParams : ShortListsEnd {
  PairwiseArgs args;
  uint32_t blocks_per_margin;  // the grid: K times as many
  int32_t lists_per_block;
  int32_t longest;  // longer lists are left alone

  FRL_HD double margin(int64_t k) const { return args.margins ? args.margins[k] : args.margin; }
};

// ---- Kernel ----------------------------------------------------------------

template <class Term>
__global__ void __launch_bounds__(ListTeam::kBlockThreads, kListBlocks<typename Term::Real>)
    short_lists_kernel(const __grid_constant__ ShortListsParams params) {
  using Real = typename Term::Real;
  __shared__ ShortListsShared<Term> shared;

  const PairwiseArgs& args = params.args;
  const unsigned k = blockIdx.x / params.blocks_per_margin;
  const unsigned block = blockIdx.x % params.blocks_per_margin;
  const BlockLists own = lists_of_block(args.lists, block, params.lists_per_block);
  const Term term(args, params.margin(k));
  for_short_lists(args.lists, own, params.longest, [&](bool is_block, int i, const Range& slots) {
    ListTeam team(shared.team, is_block);
    const ShortList list{slots.begin, k * args.lists.num_slots + slots.begin,
                         static_cast<int>(slots.size())};
    const ListPartial sum = solve_list(term, team, shared, args, list);
    if (team.thread() == 0) shared.sums.store(i, sum);
  });
  end_short_lists<Real>(params, args, k, own, params.longest, shared.sums,
                        params.blocks_per_margin);
}

// ---- Launch ----------------------------------------------------------------

// What a launcher needs to know; it brings the memory, the stream and the launch itself.
class ShortListsPlan {
 public:
  static constexpr int kThreads = ListTeam::kBlockThreads;

  // `partials`: where another kernel takes the longer lists and finishes the batch.
  explicit ShortListsPlan(const PairwiseArgs& args, const ListPartials& partials = {})
      : args_(args), partials_(partials), grid_(args.lists) {}

  int64_t num_blocks() const { return grid_.num_blocks * args_.num_margins; }

  int64_t workspace_bytes() const { return ShortListsEnd::workspace_bytes(num_blocks()); }

  // `workspace`: not used where there are partials.
  ShortListsParams params(void* workspace) const {
    return {ShortListsEnd::of(partials_, workspace, num_blocks()), args_,
            static_cast<uint32_t>(grid_.num_blocks), grid_.lists_per_block,
            static_cast<int32_t>(longest_short_list(args_.counts))};
  }

 private:
  const PairwiseArgs& args_;
  ListPartials partials_;
  ShortListsGrid grid_;
};

}  // namespace fused_rankloss
