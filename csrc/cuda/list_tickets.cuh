// SPDX-License-Identifier: BSD-3-Clause
//
// Who solves which lists of a ragged batch: teams take them from a counter.
//
// Lists come in tickets, of so many consecutive ones, in up to three rounds: whole blocks go
// through them for the medium lists, then for the others that are too long for a warp, and then
// each of their warps goes through them for the rest. So long lists are begun first, what one team
// takes longer for another does not wait for, and a batch ends when its last short list does.
//
//   blocks   |1 ......|4 ....|      a team's first ticket is its number in the grid, and
//            |2 ..|3 .......|       every next one the counter's
//   warps              |1|3|..
//
// The grid is as many blocks as run side by side. What a ticket holds depends on the batch alone,
// and one team has all of a ticket: its lists' sums are added in their order, whoever that is.
#pragma once

#include <algorithm>

#include "cuda/last_block.cuh"
#include "cuda/list_results.cuh"
#include "cuda/list_team.cuh"

namespace fused_rankloss {

// ---- Tickets ---------------------------------------------------------------

enum ListRound : int { kMediumRound, kBlockRound, kWarpRound };
inline constexpr int kListRounds = 3;

// The round of a list of so many slots.
FRL_HD int round_of(int64_t size) {
  return size > kBlockListItems ? kMediumRound : (size > kWarpListItems ? kBlockRound : kWarpRound);
}

// Of one round.
struct ListTickets {
  uint32_t per_margin;
  int32_t lists;  // of a ticket: consecutive ones

  // About so many, of up to `most` lists.
  static ListTickets of(int64_t num_lists, int64_t tickets, int64_t most) {
    const int64_t lists = Lists::clamp(num_lists / std::max<int64_t>(1, tickets), 1, most);
    return {static_cast<uint32_t>((num_lists + lists - 1) / lists), static_cast<int32_t>(lists)};
  }
};

// How a batch is cut into tickets.
struct ListsOfTeams {
  ListTickets rounds[kListRounds];
  uint32_t num_margins;

  // Longer lists than `longest` are nobody's.
  ListsOfTeams(const Lists& batch, int64_t longest, int64_t num_margins, const TicketPolicy& policy)
      : num_margins(static_cast<uint32_t>(num_margins)) {
    const int64_t lists = batch.num_lists;
    const auto tickets_of_blocks = [&](int64_t warps_list) {
      const bool most = batch.num_slots > lists * warps_list;  // the average list is a block's
      return ListTickets::of(lists, most ? lists : policy.blocks, kBlockTicketLists);
    };
    rounds[kMediumRound] = tickets_of_blocks(kBlockListItems);
    rounds[kBlockRound] = tickets_of_blocks(kWarpListItems);
    rounds[kWarpRound] = ListTickets::of(lists, policy.warps, kWarpTicketLists);
    for (int round = 0; round < round_of(longest); ++round) rounds[round].per_margin = 0;
  }

  // Of a margin: those of a round begin after those of the rounds before.
  FRL_HD uint32_t records(int round = kListRounds) const {
    uint32_t records = 0;
    for (int earlier = 0; earlier < round; ++earlier) records += rounds[earlier].per_margin;
    return records;
  }

  int64_t most_blocks() const {
    int64_t most = 0;
    for (const ListTickets& round : rounds) most = std::max<int64_t>(most, round.per_margin);
    return std::max<int64_t>(1, most * num_margins);  // 1 for an empty batch, which has a loss
  }
};

// A ticket.
struct OwnLists {
  int round;
  unsigned k;       // the margin
  unsigned ticket;  // of this margin

  FRL_HD bool is_block() const { return round != kWarpRound; }  // the team
  FRL_HD int64_t list(const ListsOfTeams& teams, int i) const {
    return int64_t{ticket} * teams.rounds[round].lists + i;
  }
  // The list of a lane; not one of the batch for the lanes beyond.
  __device__ __forceinline__ int64_t lane_list(const Lists& lists,
                                               const ListsOfTeams& teams) const {
    const bool is_own = lane_index() < teams.rounds[round].lists;
    return is_own ? list(teams, lane_index()) : lists.num_lists;
  }
  FRL_HD bool solves(const Range& slots, int64_t longest) const {
    return slots.size() <= longest && round_of(slots.size()) == round;
  }
  // Where the sum of its list i is.
  FRL_HD int cell(int i, int warp) const { return is_block() ? i : warp * kWarpTicketLists + i; }
};

// What a warp keeps while it solves a list, which takes all of its registers.
struct TicketState {
  int32_t round;
  uint32_t ticket;
  uint32_t next;
  uint32_t waiting;      // a bit for each list of the ticket that is still to be solved
  int32_t being_solved;  // list of it
};

// The state of each warp; the next ticket of a block is its first warp's. And the sums of each
// team's lists.
struct ListTicketsShared {
  static constexpr int kSums = kListWarps * kWarpTicketLists;
  static_assert(kBlockTicketLists <= kSums && kBlockTicketLists <= kWarpSize);

  SharedArray<TicketState, kListWarps> warps;
  SharedArray<ListPartial, kSums> sums;
};

// The rounds `round` to `last`: calls solve(own, i) for every list i of every ticket that is for
// its round, which returns the list's sum in the team's first thread, and end(own) for the ticket.
// All threads of the grid call this. `taken`: a counter for each round, 0.
template <typename Solve, typename End>
__device__ __forceinline__ void for_list_tickets(int round, int last, const Lists& lists,
                                                 const ListsOfTeams& teams, int64_t longest,
                                                 uint32_t* taken, ListTicketsShared& shared,
                                                 Solve&& solve, End&& end) {
  const auto first_ticket = [&] {
    return round == kWarpRound ? warp_index() * gridDim.x + blockIdx.x : blockIdx.x;
  };
  const auto own_lists = [&](uint32_t ticket) {
    const uint32_t per_margin = teams.rounds[round].per_margin;
    return OwnLists{round, ticket / per_margin, ticket % per_margin};
  };
  uint32_t ticket = first_ticket();
#pragma unroll 1
  while (true) {
    const uint32_t all = teams.rounds[round].per_margin * teams.num_margins;
    if (ticket >= all) {
      if (round == last) return;
      ++round;
      ticket = first_ticket();
      continue;
    }
    // The counter and the lists' slots are asked for at once. Nobody asks for a ticket where
    // everybody's first is enough.
    const bool is_block = round != kWarpRound;
    const uint32_t num_teams = is_block ? gridDim.x : gridDim.x * kListWarps;
    uint32_t next = all;
    if (all > num_teams && (is_block ? static_cast<int>(threadIdx.x) : lane_index()) == 0) {
      next = num_teams + atomicAdd(taken + round, 1u);
    }
    const OwnLists looked_at = own_lists(ticket);
    const int64_t lane_list = looked_at.lane_list(lists, teams);
    const bool waits =
        lane_list < lists.num_lists && looked_at.solves(lists.slots(lane_list), longest);
    const unsigned waiting = __ballot_sync(kAllLanes, waits);
    if (lane_index() == 0) shared.warps.store(warp_index(), {round, ticket, next, waiting, 0});
#pragma unroll 1
    while (true) {
      __syncwarp();
      TicketState state = shared.warps.load(warp_index());
      round = state.round;
      if (state.waiting == 0) break;
      state.being_solved = __ffs(state.waiting) - 1;
      state.waiting &= state.waiting - 1;
      __syncwarp();
      if (lane_index() == 0) shared.warps.store(warp_index(), state);
      const ListPartial sum = solve(own_lists(state.ticket), state.being_solved);
      if (lane_index() != 0) continue;
      state = shared.warps.load(warp_index());  // which this lane wrote
      const OwnLists solved{state.round, 0, state.ticket};
      if (!solved.is_block() || threadIdx.x == 0) {
        shared.sums.store(solved.cell(state.being_solved, warp_index()), sum);
      }
    }

    const OwnLists own = own_lists(shared.warps.load(warp_index()).ticket);
    if (own.is_block()) {
      __syncthreads();
      ticket = shared.warps.load(0).next;
      if (warp_index() == 0) end(own);
      __syncthreads();  // before the next ticket's state and sums
    } else {
      ticket = shared.warps.load(warp_index()).next;
      end(own);
      __syncwarp();
    }
  }
}

// ---- Sums ------------------------------------------------------------------

// Where the sums of lists go, and what a launch needs in workspace.
struct ListTicketsEnd {
  ListPartials partials;  // to the kernel of longer lists, which finishes the call
  BatchTotals*
      records;  // or else, workspace: [K, teams.records()], what each ticket adds to the batch
  uint32_t* counters;  // workspace, 0: tickets taken in each round, and finished blocks

  static constexpr int64_t kCounterBytes = 4 * int64_t{sizeof(uint32_t)};
  static_assert(kListRounds == 3 && kCounterBytes % alignof(BatchTotals) == 0);

  FRL_HD bool finishes() const { return partials.data == nullptr; }
  FRL_HD uint32_t* finished_blocks() const { return counters + kListRounds; }

  static int64_t workspace_bytes(const ListsOfTeams& teams) {
    return kCounterBytes +
           int64_t{teams.records()} * teams.num_margins * int64_t{sizeof(BatchTotals)};
  }

  static ListTicketsEnd of(const ListPartials& partials, void* workspace) {
    char* bytes = static_cast<char*>(workspace);
    return {partials, reinterpret_cast<BatchTotals*>(bytes + kCounterBytes),
            reinterpret_cast<uint32_t*>(bytes)};
  }
};

// Hands on the sums of a ticket's lists, or makes results of them: a lane a list. A warp calls
// this.
template <typename Real>
__device__ __forceinline__ void end_ticket(const ListTicketsEnd& to, const PairwiseArgs& args,
                                           const ListsOfTeams& teams, int64_t longest,
                                           ListTicketsShared& shared, const OwnLists& own) {
  BatchTotals totals;
  const int64_t list = own.lane_list(args.lists, teams);
  const bool is_own = list < args.lists.num_lists;
  const Range slots = is_own ? args.lists.slots(list) : Range{0, 0};
  if (is_own && own.solves(slots, longest)) {
    const ListPartial sum = shared.sums.load(own.cell(lane_index(), warp_index()));
    if (to.finishes()) {
      totals = store_list<Real>(args, own.k, list, sum);
    } else {
      to.partials.at(own.k, slots.begin / kWarpSize, list) = sum;
    }
  }
  if (!to.finishes()) return;
  totals = warp_sum(totals);
  const uint32_t record = teams.records(own.round) + own.ticket;
  if (lane_index() == 0) to.records[int64_t{own.k} * teams.records() + record] = totals;
}

// The end of a kernel: in the last block, the sums of the batch. All threads of the grid call this.
template <typename Real>
__device__ __forceinline__ void end_list_tickets(const ListTicketsEnd& to, const PairwiseArgs& args,
                                                 const ListsOfTeams& teams) {
  if (!to.finishes() || !is_last_block(to.finished_blocks())) return;
  finish_batch<Real, ListTeam::kBlockThreads>(args, to.records, teams.records());
}

}  // namespace fused_rankloss
