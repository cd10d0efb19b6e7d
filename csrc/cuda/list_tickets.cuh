// SPDX-License-Identifier: BSD-3-Clause
//
// Who solves which lists of a ragged batch: teams take them from a counter.
//
// Lists come in tickets, of so many consecutive ones, twice: at first whole blocks go through the
// tickets of blocks and solve the lists that are too long for a warp, then each of their warps goes
// through the tickets of warps and solves the others. So long lists are begun first, what one team
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

// Of blocks, or of warps.
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
  ListTickets blocks;
  ListTickets warps;
  uint32_t num_margins;

  ListsOfTeams(const Lists& batch, int64_t num_margins, const TicketPolicy& policy)
      : blocks(ListTickets::of(batch.num_lists, policy.blocks, kBlockTicketLists)),
        warps(ListTickets::of(batch.num_lists, policy.warps, kWarpTicketLists)),
        num_margins(static_cast<uint32_t>(num_margins)) {
    if (batch.num_slots > batch.num_lists * kWarpListItems) {
      blocks = ListTickets::of(batch.num_lists, batch.num_lists, 1);
    }
    if (longest_list(batch) <= kWarpListItems) blocks.per_margin = 0;
  }

  FRL_HD uint32_t per_margin() const { return blocks.per_margin + warps.per_margin; }
  int64_t most_blocks() const {
    return std::max<int64_t>(1, int64_t{std::max(blocks.per_margin, warps.per_margin)} *
                                    num_margins);  // 1 for an empty batch, which has a loss
  }
};

// A ticket.
struct OwnLists {
  bool is_block;    // the team
  unsigned k;       // the margin
  unsigned ticket;  // of this margin

  FRL_HD int64_t list(const ListsOfTeams& teams, int i) const {
    return int64_t{ticket} * (is_block ? teams.blocks : teams.warps).lists + i;
  }
  // The list of a lane; not one of the batch for the lanes beyond.
  __device__ __forceinline__ int64_t lane_list(const Lists& lists,
                                               const ListsOfTeams& teams) const {
    const bool is_own = lane_index() < (is_block ? teams.blocks : teams.warps).lists;
    return is_own ? list(teams, lane_index()) : lists.num_lists;
  }
};

// What a block's warps tell each other, and the sums of each team's lists.
struct ListTicketsShared {
  static constexpr int kSums = kListWarps * kWarpTicketLists;
  static_assert(kBlockTicketLists <= kSums && kBlockTicketLists <= kWarpSize);

  SharedArray<uint32_t, kListWarps> next;  // tickets
  SharedArray<ListPartial, kSums> sums;
};

// The sum of list i of a ticket.
FRL_HD int sum_cell(const OwnLists& own, int i, int warp) {
  return own.is_block ? i : warp * kWarpTicketLists + i;
}

// Whether a list of so many slots is solved by such a team.
FRL_HD bool is_of_team(const Range& slots, bool is_block, int64_t longest) {
  return slots.size() <= longest && (slots.size() > kWarpListItems) == is_block;
}

// Calls solve(own, i) for every list i of every ticket that is for its team, and then end(own) for
// the ticket. All threads of the grid call this. `taken`: two counters, 0.
template <typename Solve, typename End>
__device__ __forceinline__ void for_list_tickets(const Lists& lists, const ListsOfTeams& teams,
                                                 int64_t longest, uint32_t* taken,
                                                 ListTicketsShared& shared, Solve&& solve,
                                                 End&& end) {
  bool is_block = teams.blocks.per_margin > 0;
  uint32_t ticket = is_block ? blockIdx.x : warp_index() * gridDim.x + blockIdx.x;
#pragma unroll 1
  while (true) {
    const ListTickets& tickets = is_block ? teams.blocks : teams.warps;
    const uint32_t all = tickets.per_margin * teams.num_margins;
    if (ticket >= all) {
      if (!is_block) return;
      is_block = false;
      ticket = warp_index() * gridDim.x + blockIdx.x;
      continue;
    }
    // The counter and the lists' slots are asked for at once. Nobody asks for a ticket where
    // everybody's first is enough.
    const uint32_t num_teams = is_block ? gridDim.x : gridDim.x * kListWarps;
    const bool asks = (is_block ? static_cast<int>(threadIdx.x) : lane_index()) == 0;
    uint32_t next = all;
    if (asks && all > num_teams) next = num_teams + atomicAdd(taken + !is_block, 1u);
    const OwnLists own{is_block, ticket / tickets.per_margin, ticket % tickets.per_margin};
    const int64_t lane_list = own.lane_list(lists, teams);
    const bool waits =
        lane_list < lists.num_lists && is_of_team(lists.slots(lane_list), is_block, longest);
    unsigned waiting = __ballot_sync(kAllLanes, waits);
    const int cell = is_block ? 0 : warp_index();
    if (asks) shared.next.store(cell, next);  // a register would not be there for so long
#pragma unroll 1
    while (waiting != 0) {
      const int i = __ffs(waiting) - 1;
      waiting &= waiting - 1;
      solve(own, i);
      __syncwarp();  // a warp's next list overwrites this one's items
    }

    if (is_block) {
      __syncthreads();
      ticket = shared.next.load(cell);
      if (warp_index() == 0) end(own);
      __syncthreads();  // before the next ticket's number and sums
    } else {
      __syncwarp();
      ticket = shared.next.load(cell);
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
      records;         // or else, workspace: [K, per_margin()], what each ticket adds to the batch
  uint32_t* counters;  // workspace, 0: of tickets of blocks and of warps, of finished blocks

  static constexpr int64_t kZeroBytes = 3 * int64_t{sizeof(uint32_t)};
  static constexpr int64_t kCounterBytes = 16;  // so that records are aligned

  FRL_HD bool finishes() const { return partials.data == nullptr; }
  FRL_HD uint32_t* finished_blocks() const { return counters + 2; }

  static int64_t workspace_bytes(const ListsOfTeams& teams) {
    return kCounterBytes +
           int64_t{teams.per_margin()} * teams.num_margins * int64_t{sizeof(BatchTotals)};
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
  if (is_own && is_of_team(slots, own.is_block, longest)) {
    const ListPartial sum = shared.sums.load(sum_cell(own, lane_index(), warp_index()));
    if (to.finishes()) {
      totals = store_list<Real>(args, own.k, list, sum);
    } else {
      to.partials.at(own.k, slots.begin / kWarpSize, list) = sum;
    }
  }
  if (!to.finishes()) return;
  totals = warp_sum(totals);
  const uint32_t record = own.ticket + (own.is_block ? 0 : teams.blocks.per_margin);
  if (lane_index() == 0) to.records[int64_t{own.k} * teams.per_margin() + record] = totals;
}

// The end of a kernel: in the last block, the sums of the batch. All threads of the grid call this.
template <typename Real>
__device__ __forceinline__ void end_list_tickets(const ListTicketsEnd& to, const PairwiseArgs& args,
                                                 const ListsOfTeams& teams) {
  if (!to.finishes() || !is_last_block(to.finished_blocks())) return;
  finish_batch<Real, ListTeam::kBlockThreads>(args, to.records, teams.per_margin());
}

}  // namespace fused_rankloss
