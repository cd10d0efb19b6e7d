// SPDX-License-Identifier: BSD-3-Clause
//
// Batches of short lists: the pairs of each list enumerated by one warp or one block
// (list_pairs.cuh), or counted there, in one launch.
//
// Mapping      A list of up to kWarpListItems slots is one warp's, a longer one a whole block's, up
//              to kBlockListItems; to count, up to kMediumListItems (medium_lists.cuh) if the
//              device has the shared memory. Whatever is longer is left to other kernels. A grid
//              that the GPU holds at once takes them from counters, the blocks' lists first
//              (list_tickets.cuh), for each of K margins.
// Memory       The workspace is 24 bytes a ticket and round: of a list at most, of eight in large
//              batches
// Determinism  Bitwise, and a list's sums depend on nothing outside of it. Atomics say who takes a
//              ticket, which changes nothing in it, and count finished blocks.
#pragma once

#include "cuda/list_pairs.cuh"
#include "cuda/list_tickets.cuh"
#include "cuda/medium_lists.cuh"
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
  __shared__ ListTeamShared team_shared;
  __shared__ ListTicketsShared tickets;

  const PairwiseArgs& args = params.args;
  // Calls solve_one(term, team, list) for a list.
  const auto solver = [&](auto&& solve_one) {
    return [&, solve_one](const OwnLists& own, int i) {
      const Range slots = args.lists.slots(own.list(params.teams, i));
      const Term term(args, params.margin(own.k));
      ListTeam team(team_shared, own.is_block());
      const ShortList list{slots.begin, own.k * args.lists.num_slots + slots.begin,
                           static_cast<int>(slots.size())};
      return solve_one(term, team, list);
    };
  };
  const auto go_through = [&](int round, int last, const auto& solve) {
    for_list_tickets(round, last, args.lists, params.teams, params.longest, params.counters,
                     tickets, solve, [&](const OwnLists& own) {
                       end_ticket<Real>(params, args, params.teams, params.longest, tickets, own);
                     });
  };
  if constexpr (Term::kCounts) {
    go_through(kMediumRound, kMediumRound,
               solver([&](const Term& term, ListTeam& team, const ShortList& list) {
                 auto& shared = dynamic_shared<MediumShared<Real>>();
                 return MediumList<Term>(term, team, shared, args, list).solve();
               }));
  }
  go_through(kBlockRound, kWarpRound,
             solver([&](const Term& term, ListTeam& team, const ShortList& list) {
               return solve_list(term, team, dynamic_shared<ShortListsShared<Term>>(), args, list);
             }));
  end_list_tickets<Real>(params, args, params.teams);
}

// ---- Launch ----------------------------------------------------------------

// What a launcher needs to know; it brings the memory, the stream and the launch itself.
class ShortListsPlan {
 public:
  static constexpr int kThreads = ListTeam::kBlockThreads;

  // `partials`: where another kernel takes the longer lists and finishes the batch.
  // Longer lists than `longest` are not solved.
  ShortListsPlan(const PairwiseArgs& args, int64_t longest, const ListPartials& partials = {},
                 const TicketPolicy& tickets = kListTickets)
      : args_(args),
        longest_(std::min(longest, longest_list(args.lists))),
        partials_(partials),
        teams_(args.lists, longest_, args.num_margins, tickets) {}

  // More would have nothing to do. A launch has as many as run side by side.
  int64_t most_blocks() const { return teams_.most_blocks(); }

  // Dynamic shared memory of a block.
  template <class Term>
  int64_t shared_bytes() const {
    constexpr int64_t kMedium = sizeof(MediumShared<typename Term::Real>);
    static_assert(kMedium + sizeof(ListTeamShared) + sizeof(ListTicketsShared) + 256 <=
                  kMediumBlockBytes);
    const int64_t bytes = sizeof(ShortListsShared<Term>);
    return longest_ > kBlockListItems ? std::max(bytes, kMedium) : bytes;
  }

  int64_t workspace_bytes() const { return ListTicketsEnd::workspace_bytes(teams_); }

  // The first kCounterBytes of the workspace must be 0 when the kernel starts.
  ShortListsParams params(void* workspace) const {
    return {ListTicketsEnd::of(partials_, workspace), args_, teams_,
            static_cast<int32_t>(longest_)};
  }

 private:
  const PairwiseArgs& args_;
  int64_t longest_;
  ListPartials partials_;
  ListsOfTeams teams_;
};

}  // namespace fused_rankloss
