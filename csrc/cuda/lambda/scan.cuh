// SPDX-License-Identifier: BSD-3-Clause
//
// The pairs of long lists by bits of their labels, in O(n log L) for L grades:
//
//   losses   logistic ones whose weights factor: the sums of cpu/lambda/scan.h over segments
//            instead of runs. (g_i - g_j)(d_i - d_j) of lambdarank has the sign of the *ranks*: a
//            pair whose ranks are in the wrong order has a factor of -1
//   counts   the number of pairs with different labels, and of those in the right order; ties
//            count half
//
// A round of the bit decomposition (score_order.cuh) has the items of a list in segments, each in
// the order of ranks, with a more and a less relevant side. Sweeps go over all segments at once,
// down from the highest score and back (exponential_scan.cuh): each item sees the pushes of the
// other side. The sweep from the highest score sums the pairs; both sweeps add to gradients. With a
// truncation, the upper rank of a pair is in the top, or both ranks are. So in the sweep from the
// highest score only items of the top push; in the sweep back only items of the top query.
//
// A round has these phases, with a grid barrier between them:
//
//   1. bits of the labels, heads of segments, their prefix counts within tiles, and scan over tiles
//   2. losses: sums over tiles of places; the scan over tiles; the sums that each item sees
//   3. counts: a less relevant item is in the right order with the more relevant ones of its
//      segment that have higher scores, and tied with those of equal score
//   4. the stable partition that makes the next round's segments
//
// Infinite scores. Sweeps treat an infinite gap as kFar, which gives finite slopes. The loss is
// infinite if a pair in the wrong order is kept.
//
// Mapping      One cooperative launch. Phases 1 and 4: one thread per run or place. Phase 2: one
//              warp per tile of kPowerTile places, or per task of the scan over tiles. Phase 3: one
//              thread per place
// Memory       17 bytes per place, plus those of exponential_scan.cuh. A sweep gathers scores and
//              features by position, in ascending ranges
// Numerics     fp64. Terms of lambdarank have both signs; their cancellation is bounded by |g_i|
//              |d_i|. All other terms are non-negative
// Determinism  Bitwise: tiles do not depend on the grid or on other lists, one thread adds to a
//              gradient in a phase, every sum has a fixed order; counts are integers
#pragma once

#include <type_traits>

#include "cuda/lambda/launchers.h"
#include "cuda/lambda/scan_rounds.cuh"
#include "cuda/lists/partials.cuh"

namespace fused_rankloss::cuda::lambda {

struct LambdaScanShared {
  RecordsShared records;
  SharedArray<ListPartial, kScanThreads / kWarpSize> partials;
  SharedArray<uint64_t, kScanThreads / kWarpSize> highest;
};

template <typename Real, class GridType>
class LambdaScan {
  static constexpr int kWarps = kScanThreads / kWarpSize;

 public:
  __device__ __forceinline__ LambdaScan(const GridType& grid, LambdaScanShared& shared,
                                        const LambdaScanParams<Real>& params)
      : grid_(grid),
        shared_(shared),
        params_(params),
        items_(params.items),
        lists_(*params.items.long_lists),
        rounds_(params) {}

  // All threads of the grid call this.
  __device__ __forceinline__ void solve() {
    const uint32_t grades = lists_.most_grades;
    const int rounds = grades < 2 ? 1 : 32 - __clz(static_cast<int>(grades - 1));
    make_events();
    ScanRound round{params_.orders[0].events, items_.label_ranks, rounds - 1};
    ScanOrder next = params_.orders[1], other = params_.orders[0];
#pragma unroll 1
    for (; round.bit >= 0; --round.bit) {
      rounds_.make_segments(grid_, shared_.records, round);
      if (params_.features > 0) sweep({params_, round.events}, round.bit == rounds - 1);
      if (params_.ordered != nullptr) count_ordered(round);
      if (round.bit == 0) break;
      rounds_.partition(grid_, round, next);
      grid_.sync();
      round.events = next.events;
      round.ranks = next.ranks;
      const ScanOrder last = next;
      next = other;
      other = last;
    }
    if (params_.features > 0) sum_lists();
  }

 private:
  // Calls body(list, first place, last place + 1, tile) for tiles of the block.
  template <typename Body>
  __device__ __forceinline__ void for_tiles(Body&& body) const {
#pragma unroll 1
    for (int64_t tile = grid_.rank(); tile < lists_.num_tiles; tile += grid_.size()) {
      const LongList& list = list_with<&LongList::first_tile>(lists_, tile);
      const int64_t first = (tile - list.first_tile) * kScanTile;
      body(list, list.begin + first,
           list.begin + (list.size - first < kScanTile ? list.size : first + kScanTile), tile);
    }
  }

  // The events of the first round. Grid barriers follow before they are read.
  __device__ __forceinline__ void make_events() const {
    for_tiles([&](const LongList& list, int64_t begin, int64_t end, int64_t) {
#pragma unroll 1
      for (int64_t place = begin + threadIdx.x; place < end; place += kScanThreads) {
        const bool top = place - list.begin < list.top;
        params_.orders[0].events[place] = static_cast<ScanEvent>(place) | (top ? kTopEvent : 0u);
      }
    });
  }

  // ---- Phase 2

  // One tile of the table per block, one ScanTile of it per warp.
  template <typename Body>
  __device__ __forceinline__ void for_parts(Body&& body) const {
    for_tiles([&](const LongList&, int64_t first, int64_t last, int64_t tile) {
      const int64_t begin = first + warp_index() * kPowerTile;
      if (begin >= last) return;
      body(ScanTile{begin, last - begin < kPowerTile ? last : begin + kPowerTile,
                    tile * kWarps + warp_index()});
    });
  }

  // `first`: the first round, which stores partial sums instead of adding to them.
  __device__ __forceinline__ void sweep(const LambdaSource<Real>& source, bool first) {
    const ExponentialScan<LambdaSource<Real>> scan(source, params_.functions, params_.tiles);
    const int sweeps = params_.num_sweeps();
    for_parts([&](const ScanTile& tile) {
#pragma unroll 1
      for (int s = 0; s < sweeps; ++s) scan.store_tile(SweepStep{s == 0}, tile);
    });
    grid_.sync();
    scan_tiles(scan, sweeps);
    grid_.sync();
    for_parts([&](const ScanTile& tile) {
#pragma unroll 1
      for (int s = 0; s < sweeps; ++s) {
        const SweepStep step{s == 0};
        RunSums sums = scan.look(step, tile);
#pragma unroll
        for (int t = 0; t < kItemsPerThread; ++t) {
          const int64_t place = scan.place_of(step, tile, t);
          if (place < tile.end && sweeps == 2) source.add_gradient(place, sums.slope[t]);
        }
        if (step.up) add_up(tile, sums, first);
      }
    });
    grid_.sync();
  }

  // Warps stride by the grid size, so that few tasks still spread over all multiprocessors.
  __device__ __forceinline__ void scan_tiles(const ExponentialScan<LambdaSource<Real>>& scan,
                                             int sweeps) const {
    const int tasks = scan.tasks_of_list(sweeps);
#pragma unroll 1
    for (int64_t at = warp_index() * grid_.size() + grid_.rank(); at < lists_.size * tasks;
         at += grid_.size() * kWarps) {
      const LongList& list = lists_.lists[at / tasks];
      scan.scan_list(static_cast<int>(at % tasks), list.first_tile * kWarps,
                     TileSums<2>::tiles_of(list.size));
    }
  }

  __device__ __forceinline__ void add_up(const ScanTile& tile, const RunSums& sums,
                                         bool first) const {
    PairSums own;
#pragma unroll
    for (int t = 0; t < kItemsPerThread; ++t) own.add({sums.value[t], sums.slope[t]});
#pragma unroll 1
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
      own.add({__shfl_down_sync(kAllLanes, own.value, distance),
               __shfl_down_sync(kAllLanes, own.slope, distance)});
    }
    if (lane_index() != 0) return;
    PairSums& stored = params_.partials[tile.index];
    if (!first) own.add(stored);
    stored = own;
  }

  // ---- Phase 3

  __device__ __forceinline__ void count_ordered(const ScanRound& round) const {
    for_tiles([&](const LongList& list, int64_t begin, int64_t end, int64_t) {
      unsigned long long pairs = 0, twice_ordered = 0;
#pragma unroll 1
      for (int64_t place = begin + threadIdx.x; place < end; place += kScanThreads) {
        const Position at = static_cast<Position>(place);
        const Span segment = params_.segments.around(at);
        if (at == segment.begin) {
          const unsigned long long less = params_.segments.less_in(segment);
          pairs += less * (segment.size() - less);
        }
        if (!params_.segments.is_more(at)) twice_ordered += twice_ordered_with(round, segment, at);
      }
#pragma unroll 1
      for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
        pairs += __shfl_down_sync(kAllLanes, pairs, distance);
        twice_ordered += __shfl_down_sync(kAllLanes, twice_ordered, distance);
      }
      if (lane_index() != 0) return;
      OrderedPairs& ordered = params_.ordered[list.list];
      if (pairs != 0) atomicAdd(&ordered.pairs, pairs);
      if (twice_ordered != 0) atomicAdd(&ordered.twice_ordered, twice_ordered);
    });
  }

  __device__ __forceinline__ unsigned long long twice_ordered_with(const ScanRound& round,
                                                                   Span segment,
                                                                   Position at) const {
    const auto score = [&](Position place) {
      return items_.scores[position_of(round.events[place])];
    };
    const Real own = score(at);
    const Position ties =
        first_position({segment.begin, at}, [&](Position place) { return score(place) <= own; });
    const Position end =
        first_position({at, segment.end}, [&](Position place) { return score(place) < own; });
    return 2ull * more_in({segment.begin, ties}) + more_in({ties, end});
  }

  __device__ __forceinline__ uint32_t more_in(Span span) const {
    return span.size() - params_.segments.less_in(span);
  }

  // ---- Sums of lists

  __device__ __forceinline__ void sum_lists() {
#pragma unroll 1
    for (int64_t at = grid_.rank(); at < lists_.size; at += grid_.size()) {
      const LongList list = lists_.lists[at];
      if (list.size == 0) continue;
      const int64_t tiles = TileSums<2>::tiles_of(list.size);
      ListPartial sum;
#pragma unroll 1
      for (int64_t tile = threadIdx.x; tile < tiles; tile += kScanThreads) {
        const PairSums& partial = params_.partials[list.first_tile * kWarps + tile];
        sum.value.high += partial.value;
        sum.slope += partial.slope;
      }
      sum = sum_over_block<kScanThreads>(shared_.partials, sum);
      const bool infinite = has_infinite_loss(list);
      if (threadIdx.x != 0) continue;
      items_.sums[list.list] = {infinite ? kInfinity<double> : sum.value.total(), sum.slope};
    }
  }

  // Whether a kept pair of positive weight is in the wrong order with an infinite gap: its less
  // relevant item lies in the top and has score +inf, or the other one has -inf. Equal infinities
  // share a label, or lie beyond the top. Discounts of ranks
  // differ (scan_factors). All threads of a block call this.
  __device__ __forceinline__ bool has_infinite_loss(const LongList& list) {
    const int64_t size = params_.both && list.top < list.size ? list.top : list.size;
    const bool above = items_.scores[list.begin] == kInfinity<Real>;
    const bool below = items_.scores[list.begin + size - 1] == -kInfinity<Real>;
    if (!above && !below) return false;
    // The highest relevance of all, and the complement of the lowest one at +inf; the highest one
    // at -inf, and the complement of the lowest one elsewhere. 0: none.
    uint64_t more[2] = {}, less[2] = {};
#pragma unroll 1
    for (int64_t r = threadIdx.x; r < size; r += kScanThreads) {
      const int64_t position = list.begin + r;
      const Real score = items_.scores[position];
      const uint64_t own = relevance(position);
      if (items_.more_weights[position] != 0) {
        more[0] = larger(more[0], own);
        if (score == -kInfinity<Real>) more[1] = larger(more[1], own);
      }
      if (items_.less_weights[position] != 0 && r < list.top) {
        if (score == kInfinity<Real>) less[0] = larger(less[0], ~own);
        if (score != -kInfinity<Real>) less[1] = larger(less[1], ~own);
      }
    }
    bool found = false;
#pragma unroll
    for (int end = 0; end < 2; ++end) {
      const uint64_t highest = max_over_block(more[end]);
      found |= highest > ~max_over_block(less[end]);
    }
    return found;
  }

  // What two items differ in if their pair weighs something: gains, or labels where weights have
  // none.
  FRL_HD uint64_t relevance(int64_t position) const {
    if (items_.gains != nullptr) return ordered_key(items_.gains[position]);
    return items_.label_ranks[position];
  }

  __device__ __forceinline__ uint64_t max_over_block(uint64_t value) {
#pragma unroll 1
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
      value = larger(value, __shfl_xor_sync(kAllLanes, value, distance));
    }
    __syncthreads();  // all threads have read `highest` of an earlier call
    if (lane_index() == 0) shared_.highest.store(warp_index(), value);
    __syncthreads();
#pragma unroll 1
    for (int warp = 0; warp < kWarps; ++warp) value = larger(value, shared_.highest.load(warp));
    return value;
  }

  FRL_HD static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

  const GridType& grid_;
  LambdaScanShared& shared_;
  const LambdaScanParams<Real>& params_;
  const RankedLists<Real>& items_;
  const LongListTable& lists_;
  const ScanRounds<Real> rounds_;
};

// Needs nearly all registers of a thread: with minBlocksPerMultiprocessor = 2 the compiler spills.
template <typename Real>
__global__ void __launch_bounds__(kScanThreads)
    lambda_scan_kernel(const __grid_constant__ LambdaScanParams<Real> params) {
  __shared__ LambdaScanShared shared;
  const Grid grid;
  LambdaScan<Real, Grid>(grid, shared, params).solve();
}

// ---- Launch ----------------------------------------------------------------

template <typename Real>
ScanFunctions logistic_functions() {
  using Series = std::conditional_t<sizeof(Real) == sizeof(double), WideSeries, NarrowSeries>;
  ScanFunctions functions;
  functions.has_moments = true;
  functions.powers = Series::kTerms;
  for (int k = 0; k < functions.powers; ++k) {
    functions.slope[k] = Series::sigmoid(k);
    functions.value[k] = Series::softplus(k);
  }
  return functions;
}

template <class Queue, typename Real>
void run_lambda_scan(Queue& queue, const LambdaArgs& args, int64_t most_lists, bool adds_losses,
                     const RankedLists<Real>& items, OrderedPairs* ordered) {
  const int64_t tiles = (args.lists.num_slots + kScanTile - 1) / kScanTile;
  const auto params = queue.workspace([&](Workspace& workspace) {
    LambdaScanParams<Real> params{};
    params.items = items;
    params.ordered = ordered;
    params.both = args.both();
    params.wrong = args.scheme == Scheme::kLambdaRank ? -1 : 1;
    params.scale = args.sigma;
    for (ScanOrder& order : params.orders) {
      order.events = workspace.take<ScanEvent>(tiles * kScanTile);
      order.ranks = workspace.take<uint32_t>(tiles * kScanTile);
    }
    params.segments = {workspace.take<RunRecord>(tiles * kScanThreads),
                       workspace.take<TileRecord>(tiles), args.lists.num_slots};
    if (!adds_losses) return params;
    params.features = scan_features(args.scheme);
    params.functions = logistic_functions<Real>();
    // Each list begins a new tile of the table.
    const int64_t parts = (tiles + most_lists) * (kScanTile / kPowerTile);
    params.tiles = TileSums<2>::take(workspace, parts, params.num_sweeps(), params.features,
                                     params.functions.powers);
    params.partials = workspace.take<PairSums>(parts);
    return params;
  });
  queue.launch_cooperative(tiles, kScanThreads, lambda_scan_kernel<Real>, params);
}

}  // namespace fused_rankloss::cuda::lambda
