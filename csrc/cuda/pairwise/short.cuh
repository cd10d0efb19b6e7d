// SPDX-License-Identifier: BSD-3-Clause
//
// Batches of short lists: the pairs of each list enumerated by one warp or one block
// (short_pairs.cuh), or counted there, in one launch.
//
// Mapping      short_batch.cuh: a list of up to kWarpListItems slots is one warp's, a longer one a
//              whole block's, up to kBlockListItems to count and kValueListItems to sum values.
//              Longer ones are left to other kernels. K margins are K times as many blocks.
// Memory       The workspace is 24 bytes for every block
// Determinism  Bitwise, and a list's sums depend on nothing outside of it. The one atomic counts
//              finished blocks.
#pragma once

#include "common/workspace.h"
#include "cuda/lists/short_batch.cuh"
#include "cuda/pairwise/launchers.h"
#include "cuda/pairwise/policy.h"
#include "cuda/pairwise/short_pairs.cuh"

namespace fused_rankloss::cuda::pairwise {

struct ShortListsParams : ShortListsEnd {
  PairwiseArgs args;
  int64_t longest;  // longer lists are left alone
  int64_t blocks_per_margin;
  int32_t lists_per_block;
};

template <class Term>
__global__ void __launch_bounds__(ListTeam::kBlockThreads, kListBlocks<typename Term::Real>)
    short_lists_kernel(const __grid_constant__ ShortListsParams params) {
  __shared__ ShortListsShared<Term> shared;

  const PairwiseArgs& args = params.args;
  const int64_t k = blockIdx.x / params.blocks_per_margin;
  const int64_t block = blockIdx.x % params.blocks_per_margin;
  const BlockLists own = lists_of_block(args.lists, block, params.lists_per_block);
  const Term term(args, args.margin_of(k));
  for_short_lists(args.lists, own, params.longest, [&](bool is_block, int i, const Range& slots) {
    ListTeam team(shared.team, is_block);
    const ShortList list{slots.begin, k * args.lists.num_slots + slots.begin,
                         static_cast<int>(slots.size()), args.unit(own.first + i)};
    const ListPartial sum = solve_list(term, team, shared, args, list);
    if (team.thread() == 0) shared.sums.store(i, sum);
    team.sync();  // before the next list's items overwrite this one's
  });
  end_short_lists<typename Term::Real>(params, args, k, own, params.longest, shared.sums,
                                       params.blocks_per_margin);
}

template <class Queue>
void run_short_lists(Queue& queue, const PairwiseArgs& args, std::string_view loss_name,
                     int64_t longest, const ListPartials& partials) {
  const ShortListsGrid grid(args.lists);
  const int64_t blocks = args.num_margins * grid.num_blocks;
  const ShortListsParams params{short_lists_end(queue, partials, blocks), args, longest,
                                grid.num_blocks, grid.lists_per_block};
  dispatch_term(args, loss_name, [&]<class Term>() {
    queue.launch(blocks, ListTeam::kBlockThreads, short_lists_kernel<Term>, params);
  });
}

}  // namespace fused_rankloss::cuda::pairwise
