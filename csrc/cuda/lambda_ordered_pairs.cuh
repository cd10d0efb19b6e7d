// SPDX-License-Identifier: BSD-3-Clause
//
// How many pairs of different labels each long list has, and how many of them are in the right
// order, ties counting half, in O(n log n): by bits of the labels (score_order.cuh), with items in
// the order of ranks. In a round's segment, a less relevant item is in the right order with all
// more relevant ones before its score begins, and tied with those that share it.
//
// Mapping      A block a tile of consecutive positions; the scan over tiles is one block's
// Memory       Keys and label ranks are read and moved in each round
// Determinism  integers only, whose atomic sums have no order
#pragma once

#include "cuda/lambda_long_params.cuh"
#include "cuda/team.cuh"

namespace fused_rankloss {

template <typename Real, class Team>
class OrderedPairs {
 public:
  using Key = ScoreKey<Real>;

  __device__ __forceinline__ OrderedPairs(const Team& team, RecordsShared& shared,
                                          const LambdaLongParams<Real>& params)
      : team_(team), shared_(shared), params_(params), segments_(params.segments) {}

  // All threads of the team call this. It moves the keys of the order by rank.
  __device__ __forceinline__ void count() {
    const uint32_t num_levels = params_.table->most_levels;
    const uint32_t last_rank = num_levels == 0 ? 0 : num_levels - 1;
    Round round{params_.orders[0].keys, params_.label_ranks, 0};
    Key *keys = params_.orders[1].keys, *other_keys = params_.orders[0].keys;
    uint32_t *ranks = params_.places[0], *other_ranks = params_.places[1];
#pragma unroll 1
    for (int bit = 31 - __clz(static_cast<int>(last_rank)); bit >= 0; --bit) {
      round.bit = bit;
      solve_round(round, keys, ranks);
      round.keys = swap(keys, other_keys);
      round.ranks = swap(ranks, other_ranks);
    }
  }

 private:
  struct Round {
    const Key* keys;
    const uint32_t* ranks;
    int bit;
  };

  // Returns what the first one was.
  template <typename T>
  __device__ __forceinline__ static T* swap(T*& one, T*& other) {
    T* const was = one;
    one = other;
    other = was;
    return was;
  }

  __device__ __forceinline__ void solve_round(const Round& round, Key* next_keys,
                                              uint32_t* next_ranks) {
#pragma unroll 1
    for (int64_t tile = team_.rank(); tile < segments_.num_tiles(); tile += team_.size()) {
      make_records(round, tile);
    }
    team_.sync();
    if (team_.rank() == 0) scan_tiles(segments_, shared_);
    team_.sync();
#pragma unroll 1
    for (int64_t tile = team_.rank(); tile < segments_.num_tiles(); tile += team_.size()) {
#pragma unroll 1
      for (int i = 0; i < kScanRun; ++i) {
        const int64_t position = tile * kScanTile + i * kScanThreads + threadIdx.x;
        count_at(round, position);
        if (round.bit > 0 && position < segments_.size) {
          const Position place = next_place(static_cast<Position>(position));
          next_keys[place] = round.keys[position];
          next_ranks[place] = round.ranks[position];
        }
      }
    }
    team_.sync();
  }

  // Which segment of its list an item is in.
  FRL_HD static uint64_t segment_of(uint32_t rank, int bit) {
    return rank == kInertRank ? ~uint64_t{0} : uint64_t{rank} >> (bit + 1);
  }

  __device__ __forceinline__ void make_records(const Round& round, int64_t tile) {
    const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kScanRun;
    unsigned more = 0, heads = list_starts(params_.args.lists, first);
    const bool has_previous = first > 0 && first <= segments_.size;
    uint64_t previous = has_previous ? segment_of(round.ranks[first - 1], round.bit) : 0;
#pragma unroll
    for (int p = 0; p < kScanRun; ++p) {
      const uint32_t rank = first + p < segments_.size ? round.ranks[first + p] : kInertRank;
      const uint64_t segment = segment_of(rank, round.bit);
      more |= static_cast<unsigned>(rank != kInertRank && (rank >> round.bit & 1)) << p;
      heads |= static_cast<unsigned>(segment != previous) << p;
      previous = segment;
    }
    store_records(segments_, shared_, tile, more, heads);
  }

  // Whole warps call this.
  __device__ __forceinline__ void count_at(const Round& round, int64_t position) const {
    int64_t list = kNoList;
    unsigned long long pairs = 0, twice_ordered = 0;
    if (position < segments_.size && round.ranks[position] != kInertRank) {
      list = list_of(params_.args.lists, position);
      const Position at = static_cast<Position>(position);
      const Span segment = segments_.around(at);
      if (at == segment.begin) {
        const unsigned long long less = segments_.less_in(segment);
        pairs = less * (segment.size() - less);
      }
      if (!segments_.is_more(at)) twice_ordered = twice_ordered_with(round, segment, at);
    }
    add(list, pairs, twice_ordered);
  }

  __device__ __forceinline__ unsigned long long twice_ordered_with(const Round& round, Span segment,
                                                                   Position at) const {
    const Key* keys = round.keys;
    const Key key = keys[at];
    const Position ties =
        first_position({segment.begin, at}, [=](Position p) { return keys[p] >= key; });
    const Position end =
        first_position({at, segment.end}, [=](Position p) { return keys[p] > key; });
    return 2ull * more_in({segment.begin, ties}) + more_in({ties, end});
  }

  __device__ __forceinline__ uint32_t more_in(Span span) const {
    return span.size() - segments_.less_in(span);
  }

  // One atomic a warp whose items are all of one list.
  __device__ __forceinline__ void add(int64_t list, unsigned long long pairs,
                                      unsigned long long twice_ordered) const {
    const int64_t first_list = __shfl_sync(kAllLanes, list, 0);
    bool writes = list != kNoList;
    if (__all_sync(kAllLanes, list == first_list)) {
#pragma unroll 1
      for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
        pairs += __shfl_down_sync(kAllLanes, pairs, distance);
        twice_ordered += __shfl_down_sync(kAllLanes, twice_ordered, distance);
      }
      writes &= lane_index() == 0;
    }
    if (!writes) return;
    LambdaListFacts& facts = params_.facts[list];
    if (pairs != 0) atomicAdd(&facts.num_pairs, pairs);
    if (twice_ordered != 0) atomicAdd(&facts.twice_ordered, twice_ordered);
  }

  // The less relevant items of a segment go before the more relevant ones.
  __device__ __forceinline__ Position next_place(Position position) const {
    const Span segment = segments_.around(position);
    const uint32_t less = segments_.less_in({segment.begin, position});
    if (!segments_.is_more(position)) return segment.begin + less;
    return position + segments_.less_in(segment) - less;
  }

  const Team& team_;
  RecordsShared& shared_;
  const LambdaLongParams<Real>& params_;
  const Segments& segments_;
};

}  // namespace fused_rankloss
