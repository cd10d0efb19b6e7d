// SPDX-License-Identifier: BSD-3-Clause
//
// Batches of short lists: the pairs of each list enumerated by one warp or one block
// (list_pairs.cuh), in one launch.
//
// Mapping      A list of up to kWarpListItems slots is one warp's, a longer one a whole block's, up
//              to kBlockListItems; whatever is longer is left to other kernels. A grid that the GPU
//              holds at once takes them from counters, the blocks' lists first (list_tickets.cuh),
//              for each of K margins.
// Memory       The workspace is 24 bytes a ticket: of a list at most, of eight in large batches
// Determinism  Bitwise, and a list's sums depend on nothing outside of it. Atomics say who takes a
//              ticket, which changes nothing in it, and count finished blocks.
#pragma once

#include "cuda/list_pairs.cuh"
#include "cuda/list_tickets.cuh"
#include "cuda/short_lists.h"

namespace fused_rankloss {

// ---- Parameters ------------------------------------------------------------

struct ShortListsParams : ListTicketsEnd {
  PairwiseArgs args;
  ListsOfTeams teams;
  int32_t longest;  // longer lists are left alone

  FRL_HD double margin(int64_t k) const { return args.margins ? args.margins[k] : args.margin; }
};

// ---- Kernel ----------------------------------------------------------------

template <class Term>
__global__ void __launch_bounds__(ListTeam::kBlockThreads, kListBlocks<typename Term::Real>)
    short_lists_kernel(const __grid_constant__ ShortListsParams params) {
  using Real = typename Term::Real;
  __shared__ ShortListsShared<Term> shared;
  __shared__ ListTicketsShared tickets;

  const PairwiseArgs& args = params.args;
  const auto solve = [&](const OwnLists& own, int i) {
    const Range slots = args.lists.slots(own.list(params.teams, i));
    const Term term(args, params.margin(own.k));
    ListTeam team(shared.team, own.is_block);
    const ShortList list{slots.begin, own.k * args.lists.num_slots + slots.begin,
                         static_cast<int>(slots.size())};
    const ListPartial sum = solve_list(term, team, shared, args, list);
    if (team.thread() == 0) tickets.sums.store(sum_cell(own, i, warp_index()), sum);
  };
  const auto end = [&](const OwnLists& own) {
    end_ticket<Real>(params, args, params.teams, params.longest, tickets, own);
  };
  for_list_tickets(args.lists, params.teams, params.longest, params.counters, tickets, solve, end);
  end_list_tickets<Real>(params, args, params.teams);
}

// ---- Launch ----------------------------------------------------------------

// What a launcher needs to know; it brings the memory, the stream and the launch itself.
class ShortListsPlan {
 public:
  static constexpr int kThreads = ListTeam::kBlockThreads;

  // `partials`: where another kernel takes the longer lists and finishes the batch.
  explicit ShortListsPlan(const PairwiseArgs& args, const ListPartials& partials = {},
                          const TicketPolicy& tickets = kListTickets)
      : args_(args), partials_(partials), teams_(args.lists, args.num_margins, tickets) {}

  // More would have nothing to do. A launch has as many as run side by side.
  int64_t most_blocks() const { return teams_.most_blocks(); }

  int64_t workspace_bytes() const { return ListTicketsEnd::workspace_bytes(teams_); }

  // The first kZeroBytes of the workspace must be 0 when the kernel starts.
  ShortListsParams params(void* workspace) const {
    return {ListTicketsEnd::of(partials_, workspace), args_, teams_,
            static_cast<int32_t>(longest_short_list(args_.counts))};
  }

 private:
  const PairwiseArgs& args_;
  ListPartials partials_;
  ListsOfTeams teams_;
};

}  // namespace fused_rankloss
