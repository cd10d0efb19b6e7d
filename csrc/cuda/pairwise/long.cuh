// SPDX-License-Identifier: BSD-3-Clause
//
// Pair losses of long lists in O(n log n): one sort by score, then ceil(log2 L) rounds for L
// grades.
//
//   prepare_kernel      sort keys and slots of all items; poisoned lists; up to 8 distinct labels
//   radix sort          by score; for several lists, then a stable sort by list
//   long_lists_kernel   everything else, in phases with a grid barrier between them
//
// Calls of up to kOneLaunchSlots are one launch: that kernel does all steps (long_sort.cuh).
//
// After the sort, the items of a list are at positions equal to its slots' indices, padding last. A
// round (score_order.cuh) has these phases:
//
//   1. bits of the labels and heads of segments, their prefix counts within tiles
//   2. the scan over tiles; if the loss needs moments, these within tiles, and their scan
//   3. each item's range of violating partners, its sums and gradient; the next round's order
//
// Mapping      One block per tile of consecutive positions, in a grid-stride loop over a persistent
//              grid. One block does the scans over tiles. K margins share sort, scans and
//              partitions.
// Memory       37 bytes per slot for fp32 scores, 28 if gradients are counts, see LongListsPlan. A
//              round streams about 30 and gathers labels, weights and gradients by slot.
// Numerics     Whether a pair violates the margin is decided exactly. Counts are integers.
//              Everything else is in fp64 from non-negative terms, except the loss of counts: see
//              CountTerm.
// Determinism  Bitwise: tiles do not depend on the grid, one thread adds to a gradient in a round,
//              and every sum has a fixed order
#pragma once

#include "cuda/lists/reduce.cuh"
#include "cuda/pairwise/long_sort.cuh"
#include "cuda/pairwise/long_terms.cuh"
#include "cuda/pairwise/policy.h"

namespace fused_rankloss::cuda::pairwise {

struct LongListsShared {
  RecordsShared records;
  LabelRanksShared labels;
  ScanShared<SweepState, kScanThreads> moments;
  SharedArray<Position, 4> windows;
  SharedArray<ListPartial, kScanThreads / kWarpSize> partials;
};

template <class Term, class GridType>
class LongLists {
 public:
  using Real = typename Term::Real;
  using Key = ScoreKey<Real>;

  __device__ __forceinline__ LongLists(const GridType& grid, LongListsShared& shared,
                                       const LongListsParams<Real>& params)
      : grid_(grid), shared_(shared), params_(params), args_(params.args) {}

  // All threads of the grid call this.
  __device__ __forceinline__ void solve() {
    SortedSlots<Key> slots{params_.orders[0], params_.orders[1], args_.lists.num_lists > 1};
    if (params_.sort_digits != 0) sort_slots(grid_, shared_.labels.sort, params_, slots);
    if (*params_.any_long != 0) {
      solve_rounds(slots.from, slots.to);
      sum_long_lists();
      grid_.sync();
    }
    if (grid_.rank() == 0) reduce_lists<Real, kScanThreads>(args_, params_.partials);
  }

 private:
  __device__ __forceinline__ void solve_rounds(const Order<Key>& sorted, Order<Key> next) {
    Round<Real> round{sorted, params_.segments, params_.moments, params_.gradients};
    const GradeTable& grades = *params_.grades;
    if (grades.is_sorted_by()) rank_labels(round.order, next);
    const uint32_t last_rank = grades.size() == 0 ? 0 : grades.size() - 1;
    const int rounds = last_rank == 0 ? 1 : 32 - __clz(static_cast<int>(last_rank));
#pragma unroll 1
    for (int bit = rounds - 1; bit >= 0; --bit) {
      round.first = bit == rounds - 1;
      round.last = bit == 0;
      solve_round(round, next, bit);
      const Order<Key> order = next;
      next = round.order;
      round.order = order;
    }
  }

  __device__ __forceinline__ void rank_labels(Order<Key>& order, Order<Key>& next) {
    const LabelRanks<Key> ranks{order,
                                next.ranks,
                                reinterpret_cast<uint64_t*>(next.keys),
                                params_.words,
                                params_.grades,
                                params_.segments.size,
                                params_.segments.num_tiles()};
    if (ranks.sort(grid_, shared_.labels, args_) == order.ranks) return;
    next.ranks = order.ranks;
    order.ranks = ranks.other;
  }

  __device__ __forceinline__ void solve_round(const Round<Real>& round, const Order<Key>& next,
                                              int bit) {
    const int64_t num_tiles = round.segments.num_tiles();
#pragma unroll 1
    for (int64_t tile = grid_.rank(); tile < num_tiles; tile += grid_.size()) {
      make_records(round, tile, bit);
    }
    grid_.sync();
    if (grid_.rank() == 0) scan_tiles(round.segments, shared_.records);
    if constexpr (Term::kMoments) {
      store_moments<Sweep::kUp>(round);
      store_moments<Sweep::kDown>(round);
      grid_.sync();
      if (grid_.rank() == 0) scan_moments<Sweep::kUp>(round);
      if (grid_.rank() == grid_.size() - 1) scan_moments<Sweep::kDown>(round);
    }
    grid_.sync();
#pragma unroll 1
    for (int64_t tile = grid_.rank(); tile < num_tiles; tile += grid_.size()) {
      answer_tile(round, tile);
      if (!round.last) partition_tile(round, next, tile);
    }
    grid_.sync();
  }

  // ---- Phase 1

  // The segment of an item within its list: the bits of its rank above `bit`.
  FRL_HD static uint64_t segment_of(uint32_t rank, int bit) {
    return rank == kInertRank ? ~uint64_t{0} : uint64_t{rank} >> (bit + 1);
  }

  __device__ __forceinline__ void make_records(const Round<Real>& round, int64_t tile, int bit) {
    const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kItemsPerThread;
    const bool make_ranks = round.first && !params_.grades->is_sorted_by();
    RunOf<uint32_t> ranks;
    if (!make_ranks) ranks = load_run(round.order.ranks, first);
    const unsigned starts = list_starts(args_.lists, first);
    unsigned more = 0, heads = starts;
    uint64_t previous = 0;
    if (first > 0 && first <= round.segments.size) {
      // In the first round, other threads may not have stored their ranks yet, but only inertness
      // is needed.
      const bool inert = round.order.keys[first - 1] == kInertKey<Key>;
      const uint32_t rank = inert ? kInertRank : 0;
      previous = segment_of(round.first ? rank : round.order.ranks[first - 1], bit);
    }
#pragma unroll
    for (int p = 0; p < kItemsPerThread; ++p) {
      const bool there = first + p < round.segments.size;
      if (!there) {
        ranks.at[p] = kInertRank;
      } else if (round.first) {
        if (make_ranks) ranks.at[p] = rank_at(round, first + p);
        if ((starts >> p & 1) == 0) check_infinities(round, first + p);
      }
      const uint32_t rank = ranks.at[p];
      const uint64_t segment = segment_of(rank, bit);
      more |= static_cast<unsigned>(rank != kInertRank && (rank >> bit & 1)) << p;
      heads |= static_cast<unsigned>(segment != previous) << p;
      previous = segment;
    }
    if (make_ranks) store_run(round.order.ranks, first, ranks);
    store_records(round.segments, shared_.records, tile, more, heads);
  }

  __device__ __forceinline__ uint32_t rank_at(const Round<Real>& round, int64_t position) const {
    if (round.order.keys[position] == kInertKey<Key>) return kInertRank;
    return params_.grades->rank(GradeTable::key(args_, round.order.slots[position]));
  }

  // Two equal infinite scores with different labels poison their list, since their difference is
  // undefined. If there are such items, two of them are neighbours in the order of scores.
  __device__ __forceinline__ void check_infinities(const Round<Real>& round, int64_t position) {
    const Key key = round.order.keys[position];
    const Real score = value_of_key(key);
    if (score != score || is_finite(score)) return;
    if (round.order.keys[position - 1] != key) return;
    if (GradeTable::key(args_, round.order.slots[position]) !=
        GradeTable::key(args_, round.order.slots[position - 1])) {
      atomicExch(&params_.poisoned[list_of(args_.lists, position)], 1u);
    }
  }

  // ---- Phase 2

  template <Sweep kSweep>
  __device__ __forceinline__ void store_moments(const Round<Real>& round) {
    const auto sweep = Term::template sweep<kSweep>(args_, round);
#pragma unroll 1
    for (int64_t tile = grid_.rank(); tile < round.segments.num_tiles(); tile += grid_.size()) {
      sweep.store_tile(shared_.moments, tile);
    }
  }

  template <Sweep kSweep>
  __device__ __forceinline__ void scan_moments(const Round<Real>& round) {
    Term::template sweep<kSweep>(args_, round).scan_tiles(shared_.moments);
  }

  // ---- Phase 3

  __device__ __forceinline__ void answer_tile(const Round<Real>& round, int64_t tile) {
    const Position first = static_cast<Position>(tile * kScanTile);
    const Span whole = round.segments.around(first);
    const int64_t list = list_of(args_.lists, first);
    const bool one_segment = ends_tile(whole.end, tile);
    const bool one_list =
        params_.is_long(list) && list_positions(args_.lists, list).end >= (tile + 1) * kScanTile;
#pragma unroll 1
    for (int64_t k = 0; k < args_.num_margins; ++k) {
      const Term term(args_, round, k, args_.margin_of(k));
      if (one_segment) find_windows(round, tile, whole, args_.margin_of(k));
      ListPartial sum;
#pragma unroll 1
      for (Position i = threadIdx.x; i < kScanTile; i += kScanThreads) {
        const int64_t own_list = one_list ? list : list_at(first + i);
        ListPartial partial;
        if (own_list != kNoList) partial = answer(round, term, first + i, own_list, one_segment);
        if (one_list) {
          sum.add(partial);
        } else {
          store_chunk(params_.partials, k, (first + i) / kWarpSize, own_list, partial,
                      !round.first);
        }
      }
      if (one_list) {
        sum = sum_over_block<kScanThreads>(shared_.partials, sum);
        if (threadIdx.x == 0) {
          ListPartial& stored = params_.partials.at(k, first / kWarpSize, list);
          if (!round.first) sum.add(stored);
          stored = sum;
        }
      }
      __syncthreads();  // before the next margin overwrites the windows
    }
  }

  // Whether a segment that ends at `end` and contains the tile's first position contains all of it.
  FRL_HD bool ends_tile(Position end, int64_t tile) const {
    return end >= params_.segments.size || end >= (tile + 1) * kScanTile;
  }

  // The long list of a position, or kNoList.
  __device__ __forceinline__ int64_t list_at(Position position) const {
    if (position >= params_.segments.size) return kNoList;
    const int64_t list = list_of(args_.lists, position);
    return params_.is_long(list) ? list : kNoList;
  }

  // Four searches, one per thread. The range ends of all items of the tile lie between those of its
  // first and last score, for either value of boundary_grad.
  __device__ __forceinline__ void find_windows(const Round<Real>& round, int64_t tile, Span segment,
                                               double margin) {
    const int search = static_cast<int>(threadIdx.x);
    if (search < 4) {
      const bool last = search % 2 != 0, more = search < 2;
      const Reaches<Key> reaches{round.order.keys, margin, /*inclusive=*/more != last};
      const int64_t end = Lists::clamp((tile + 1) * kScanTile, 0, params_.segments.size);
      const Real score = reaches.score(static_cast<Position>(last ? end - 1 : tile * kScanTile));
      shared_.windows.store(search, more ? reaches.first_reaching(segment, score)
                                         : reaches.first_beyond(segment, score));
    }
    __syncthreads();
  }

  __device__ __forceinline__ ListPartial answer(const Round<Real>& round, const Term& term,
                                                Position position, int64_t list, bool one_segment) {
    const Key key = round.order.keys[position];
    if (key == kInertKey<Key>) return {};
    const bool more = round.segments.is_more(position);
    const Span segment = round.segments.around(position);
    const int side = more ? 0 : 2;
    const Span window =
        one_segment ? Span{shared_.windows.load(side), shared_.windows.load(side + 1)} : segment;
    ListPartial partial = term.answer(
        {position, round.order.slots[position], list, value_of_key(key), more, segment, window});
    if (position == segment.begin && params_.poisoned[list] != 0) partial.pairs = kNan<double>;
    return partial;
  }

  // Stable partition: the less relevant items of a segment go before the more relevant ones.
  __device__ __forceinline__ void partition_tile(const Round<Real>& round, const Order<Key>& next,
                                                 int64_t tile) const {
#pragma unroll 1
    for (int i = 0; i < kItemsPerThread; ++i) {
      const int64_t at = tile * kScanTile + i * kScanThreads + static_cast<int>(threadIdx.x);
      if (at >= round.segments.size) break;
      const Position position = static_cast<Position>(at);
      const Span segment = round.segments.around(position);
      const uint32_t less = round.segments.less_in({segment.begin, position});
      const Position place = round.segments.is_more(position)
                                 ? position + round.segments.less_in(segment) - less
                                 : segment.begin + less;
      next.keys[place] = round.order.keys[position];
      next.slots[place] = round.order.slots[position];
      next.ranks[place] = round.order.ranks[position];
    }
  }

  // ---- Sums of lists

  // A long list has one partial per tile that lies within the list, and one per chunk elsewhere.
  __device__ __forceinline__ void sum_long_lists() {
    constexpr int64_t kChunks = kScanTile / kWarpSize;
#pragma unroll 1
    for (int64_t list = grid_.rank(); list < args_.lists.num_lists; list += grid_.size()) {
      if (!params_.is_long(list)) continue;
      const Range positions = list_positions(args_.lists, list);
      const int64_t begin = positions.begin / kWarpSize;
      const int64_t end = (positions.end - 1) / kWarpSize + 1;
      const int64_t first_tile = (positions.begin + kScanTile - 1) / kScanTile;
      const int64_t last_tile = positions.end / kScanTile;
      const int64_t tiles = last_tile > first_tile ? last_tile - first_tile : 0;
      const int64_t before = tiles > 0 ? first_tile * kChunks - begin : end - begin;
      const int64_t after = tiles > 0 ? end - last_tile * kChunks : 0;
#pragma unroll 1
      for (int64_t k = 0; k < args_.num_margins; ++k) {
        ListPartial sum;
#pragma unroll 1
        for (int64_t i = threadIdx.x; i < before + tiles + after; i += kScanThreads) {
          int64_t chunk = begin + i;
          if (i >= before) chunk = (first_tile + i - before) * kChunks;
          if (i >= before + tiles) chunk = last_tile * kChunks + i - before - tiles;
          sum.add(params_.partials.at(k, chunk, list));
        }
        sum = sum_over_block<kScanThreads>(shared_.partials, sum);
        if (threadIdx.x == 0) params_.partials.at(k, begin, list) = sum;
      }
    }
  }

  const GridType& grid_;
  LongListsShared& shared_;
  const LongListsParams<Real>& params_;
  const PairwiseArgs& args_;
};

template <class Term>
__global__ void __launch_bounds__(kScanThreads, kLongListsBlocks)
    long_lists_kernel(const __grid_constant__ LongListsParams<typename Term::Real> params) {
  __shared__ LongListsShared shared;
  const Grid grid;
  LongLists<Term, Grid>(grid, shared, params).solve();
}

}  // namespace fused_rankloss::cuda::pairwise
