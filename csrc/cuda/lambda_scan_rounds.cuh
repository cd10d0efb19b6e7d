// SPDX-License-Identifier: BSD-3-Clause
//
// The orders that the rounds of lambda_scan.cuh sweep over: its phases 1, 2 and 4.
#pragma once

#include "cuda/lambda_scan_items.cuh"

namespace fused_rankloss {

template <typename Real>
class ScanRounds {
 public:
  FRL_HD explicit ScanRounds(const LambdaScanParams<Real>& params)
      : params_(params), items_(params.items), lists_(*params.items.long_lists) {}

  // All threads of a team call these.

  // 1. The segments of a round, and which of their items are the more relevant ones.
  template <class Team>
  __device__ __forceinline__ void make_segments(const Team& team, RecordsShared& shared,
                                                const ScanOrder& order, int bit, bool first) const {
#pragma unroll 1
    for (int64_t tile = team.rank(); tile < params_.segments.num_tiles(); tile += team.size()) {
      make_records(shared, order, tile, bit, first);
    }
    team.sync();
    if (team.rank() == 0) scan_tiles(params_.segments, shared);
    team.sync();
  }

  // 2. Places by score; a less relevant item at s_i - margin goes before i.
  template <class Team>
  __device__ __forceinline__ void order_by_margin(const Team& team, const ScanOrder& order) const {
    const auto score = [&](Position place) {
      return static_cast<double>(items_.scores[position_of(order.events[place])]);
    };
    for_places(team, [&](Position place) {
      const ScanEvent event = order.events[place];
      if (event == kInertEvent) {
        params_.margin_events[place] = event;
        return;
      }
      const Span segment = params_.segments.around(place);
      const double own = score(place);
      const uint32_t less = params_.segments.less_in({segment.begin, place});
      uint32_t before;  // in the new order
      if (is_more(event)) {
        const Position end = first_position(
            segment, [&](Position other) { return own > score(other) + params_.margin; });
        before = (place - segment.begin - less) + params_.segments.less_in({segment.begin, end});
      } else {
        const double reach = own + params_.margin;
        const Position end =
            first_position(segment, [&](Position other) { return !(score(other) > reach); });
        const Span higher{segment.begin, end};
        before = less + (higher.size() - params_.segments.less_in(higher));
      }
      params_.margin_events[segment.begin + before] = event;
    });
  }

  // 4. The less relevant items of a segment go before the more relevant ones.
  template <class Team>
  __device__ __forceinline__ void partition(const Team& team, const ScanOrder& order,
                                            const ScanOrder& next) const {
    for_places(team, [&](Position place) {
      const Span segment = params_.segments.around(place);
      const uint32_t less = params_.segments.less_in({segment.begin, place});
      const Position to = params_.segments.is_more(place)
                              ? place + params_.segments.less_in(segment) - less
                              : segment.begin + less;
      next.events[to] = order.events[place];
      next.ranks[to] = order.ranks[place];
    });
  }

 private:
  // Which segment of its list an item is in: what the ranks have in common above the bit.
  __device__ __forceinline__ uint64_t segment_of(uint32_t rank, int bit) const {
    if (rank == kInertRank) return ~uint64_t{0};
    return params_.all_pairs ? 0 : uint64_t{rank} >> (bit + 1);
  }

  // The first long list that ends beyond a position, or their number.
  __device__ __forceinline__ int64_t list_beyond(int64_t position) const {
    int64_t low = 0, high = lists_.size;
#pragma unroll 1
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      const LongList& list = lists_.lists[middle];
      if (list.begin + list.size <= position) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  // The label's rank at a place, in the first round that of a position. An item that is in no pair
  // has none.
  __device__ __forceinline__ uint32_t first_rank(int64_t position, const LongList& list) const {
    if (params_.both && position - list.begin >= list.top) return kInertRank;
    return items_.label_ranks[position];
  }

  __device__ __forceinline__ void make_records(RecordsShared& shared, const ScanOrder& order,
                                               int64_t tile, int bit, bool first) const {
    const int64_t begin = tile * kScanTile + int64_t{threadIdx.x} * kScanRun;
    // The list of the place before, then of each place.
    int64_t at = list_beyond(begin - 1);
    uint64_t previous = ~uint64_t{0};
    if (begin > 0 && begin <= items_.size) {
      // In the first round, ranks of other threads may not be there yet.
      const bool inside = at < lists_.size && lists_.lists[at].begin < begin;
      const uint32_t rank = !first    ? order.ranks[begin - 1]
                            : !inside ? kInertRank
                                      : first_rank(begin - 1, lists_.lists[at]);
      previous = segment_of(rank, bit);
    }
    unsigned more = 0, heads = 0;
#pragma unroll 1
    for (int p = 0; p < kScanRun; ++p) {
      const int64_t place = begin + p;
      LongList list{};
      bool inside = false;
      if (place < items_.size) {
#pragma unroll 1
        while (at < lists_.size && lists_.lists[at].begin + lists_.lists[at].size <= place) ++at;
        if (at < lists_.size) list = lists_.lists[at];
        inside = at < lists_.size && list.begin <= place;
      }
      ScanEvent event = kInertEvent;
      uint32_t rank = kInertRank;
      if (!first) {
        if (place < items_.size) {
          event = order.events[place];
          rank = order.ranks[place];
        }
      } else {
        if (inside) rank = first_rank(place, list);
        if (rank != kInertRank) {
          event = static_cast<ScanEvent>(place);
          if (place - list.begin < list.top) event |= kTopEvent;
        }
        order.ranks[place] = rank;
      }
      if (rank != kInertRank) {
        const bool is_more = !params_.all_pairs && (rank >> bit & 1) != 0;
        event = is_more ? event | kMoreEvent : event & ~kMoreEvent;
        more |= static_cast<unsigned>(is_more) << p;
      }
      order.events[place] = event;
      const uint64_t segment = segment_of(rank, bit);
      const bool head = place == 0 || segment != previous || (inside && place == list.begin);
      heads |= static_cast<unsigned>(head) << p;
      previous = segment;
    }
    store_records(params_.segments, shared, tile, more, heads);
  }

  template <class Team, typename Body>
  __device__ __forceinline__ void for_places(const Team& team, Body&& body) const {
#pragma unroll 1
    for (int64_t tile = team.rank(); tile < params_.segments.num_tiles(); tile += team.size()) {
#pragma unroll 1
      for (int i = 0; i < kScanRun; ++i) {
        const int64_t place = tile * kScanTile + i * kScanThreads + static_cast<int>(threadIdx.x);
        if (place < items_.size) body(static_cast<Position>(place));
      }
    }
  }

  const LambdaScanParams<Real>& params_;
  const RankedLists<Real>& items_;
  const LongListTable& lists_;
};

}  // namespace fused_rankloss
