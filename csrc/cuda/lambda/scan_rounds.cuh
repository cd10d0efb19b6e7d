// SPDX-License-Identifier: BSD-3-Clause
//
// The orders that the rounds of scan.cuh sweep over: its phases 1 and 4.
#pragma once

#include "cuda/lambda/scan_items.cuh"

namespace fused_rankloss::cuda::lambda {

// The items of a round, by place. In the first one a place is a position.
struct ScanRound {
  ScanEvent* events;
  const uint32_t* ranks;
  int bit;
};

template <typename Real>
class ScanRounds {
 public:
  FRL_HD explicit ScanRounds(const LambdaScanParams<Real>& params)
      : params_(params), items_(params.items) {}

  // All threads of a team call these.

  // 1. The segments of a round, and which of their items are the more relevant ones.
  template <class Team>
  __device__ __forceinline__ void make_segments(const Team& team, RecordsShared& shared,
                                                const ScanRound& round) const {
#pragma unroll 1
    for (int64_t tile = team.rank(); tile < params_.segments.num_tiles(); tile += team.size()) {
      make_records(shared, round, tile);
    }
    team.sync();
    if (team.rank() == 0) scan_tiles(params_.segments, shared);
    team.sync();
  }

  // 4. The less relevant items of a segment go before the more relevant ones.
  template <class Team>
  __device__ __forceinline__ void partition(const Team& team, const ScanRound& round,
                                            const ScanOrder& next) const {
#pragma unroll 1
    for (int64_t tile = team.rank(); tile < params_.segments.num_tiles(); tile += team.size()) {
#pragma unroll 1
      for (int i = 0; i < kScanRun; ++i) {
        const int64_t place = tile * kScanTile + i * kScanThreads + static_cast<int>(threadIdx.x);
        if (place < items_.size) move(round, static_cast<Position>(place), next);
      }
    }
  }

 private:
  __device__ __forceinline__ void move(const ScanRound& round, Position place,
                                       const ScanOrder& next) const {
    const uint32_t rank = round.ranks[place];
    if (rank == kInertRank) {
      next.ranks[place] = rank;  // stays where it is, and has no event
      return;
    }
    const Span segment = params_.segments.around(place);
    const uint32_t less = params_.segments.less_in({segment.begin, place});
    const Position to = params_.segments.is_more(place)
                            ? place + params_.segments.less_in(segment) - less
                            : segment.begin + less;
    next.events[to] = round.events[place];
    next.ranks[to] = rank;
  }

  // Which segment of its list an item is in: what the ranks have in common above the bit.
  FRL_HD static uint64_t segment_of(uint32_t rank, int bit) {
    return rank == kInertRank ? ~uint64_t{0} : uint64_t{rank} >> (bit + 1);
  }

  __device__ __forceinline__ void make_records(RecordsShared& shared, const ScanRound& round,
                                               int64_t tile) const {
    const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kScanRun;
    unsigned more = 0, heads = list_starts(items_.lists, first);
    const bool has_previous = first > 0 && first <= items_.size;
    uint64_t previous = has_previous ? segment_of(round.ranks[first - 1], round.bit) : 0;
#pragma unroll 1
    for (int p = 0; p < kScanRun; ++p) {
      const uint32_t rank = first + p < items_.size ? round.ranks[first + p] : kInertRank;
      const uint64_t segment = segment_of(rank, round.bit);
      more |= static_cast<unsigned>(rank != kInertRank && (rank >> round.bit & 1)) << p;
      heads |= static_cast<unsigned>(segment != previous) << p;
      previous = segment;
    }
    store_records(params_.segments, shared, tile, more, heads);
  }

  const LambdaScanParams<Real>& params_;
  const RankedLists<Real>& items_;
};

}  // namespace fused_rankloss::cuda::lambda
