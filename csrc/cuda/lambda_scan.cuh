// SPDX-License-Identifier: BSD-3-Clause
//
// The pairs of long lists for lambda losses whose weights factor, in O(n log L) for L levels of
// labels: the sums of cpu/lambda_scan.h, whose pairs and passes (losses/lambda_passes.h) it has,
// over segments instead of runs.
//
// A round of bit decomposition (score_order.cuh) has the items of a list in segments, each in the
// order of ranks, and in each segment a more and a less relevant side. A pass sweeps over all
// segments at once, from the highest score and back (exponential_scan.cuh): each item sees what the
// other side has pushed. On the way from the highest score pairs are added up, on both ways each
// item gets its gradient. Items that are in no pair, with both ranks in the top those beyond it
// too, are inert and lie in segments of their own.
//
// A round takes these phases, with a barrier of the whole grid between them:
//
//   1. bits of the labels, heads of segments, their prefix counts within tiles, and scan over tiles
//   2. for the hinges, each item's place in the order of s_i and s_j + margin, by a search
//   3. for each pass: what tiles of places add; the scan over tiles; what each item sees
//   4. the stable partition that makes the next round's segments
//
// ndcg_loss1 takes one round, in which all items of a list are a segment and have both roles: they
// look in one and push in the other, in turn. A pair of an item with itself has a known value.
//
// Infinite scores. Sweeps take infinite gaps for wide ones (kFar), which gives finite slopes; the
// loss is infinite where a pair in the wrong order is kept.
//
// Mapping      One cooperative launch. Phases 1, 2 and 4 have a thread a run or a place, phase 3 a
//              warp a tile of kPowerTile places or a task of the scan over tiles
// Memory       17 bytes a place, 4 more for the hinges, and those of exponential_scan.cuh. A sweep
//              gathers scores and features by position, in stretches that ascend
// Numerics     fp64; terms of lambdarank have both signs, and cancel no more than |g_i| |d_i|
//              allows; everything else is non-negative
// Determinism  Bitwise: tiles do not depend on the grid nor on other lists, one thread adds to a
//              gradient in a phase, and every sum has a fixed order
#pragma once

#include "cuda/lambda_scan_rounds.cuh"

namespace fused_rankloss {

struct LambdaScanShared {
  RecordsShared records;
  SharedArray<ListPartial, kScanThreads / kWarpSize> partials;
  SharedArray<uint32_t, kScanThreads / kWarpSize> highest;
};

template <typename Real, class Team>
class LambdaScan {
  static constexpr int kWarps = kScanThreads / kWarpSize;
  static constexpr Real kInfinite = std::numeric_limits<Real>::infinity();

 public:
  __device__ __forceinline__ LambdaScan(const Team& team, LambdaScanShared& shared,
                                        const LambdaScanParams<Real>& params)
      : team_(team),
        shared_(shared),
        params_(params),
        items_(params.items),
        lists_(*params.items.long_lists),
        rounds_(params) {}

  // All threads of the team call this.
  __device__ __forceinline__ void solve() {
    const uint32_t levels = lists_.most_levels;
    int rounds = levels < 2 ? 1 : 32 - __clz(static_cast<int>(levels - 1));
    if (params_.all_pairs) rounds = 1;
    ScanOrder order = params_.orders[0], next = params_.orders[1];
    bool first = true;
#pragma unroll 1
    for (int bit = rounds - 1; bit >= 0; --bit) {
      solve_round(order, bit, first);
      if (bit > 0) {
        rounds_.partition(team_, order, next);
        team_.sync();
      }
      const ScanOrder last = order;
      order = next;
      next = last;
      first = false;
    }
    sum_lists();
  }

 private:
  __device__ __forceinline__ void solve_round(const ScanOrder& order, int bit, bool first) {
    rounds_.make_segments(team_, shared_.records, order, bit, first);
    if (params_.margin_events != nullptr) {
      rounds_.order_by_margin(team_, order);
      team_.sync();
    }
#pragma unroll 1
    for (int at = 0; at < params_.passes.size; ++at) {
      const ScanPass& pass = params_.passes.at[at];
      const ScanEvent* events = pass.by_rank ? order.events : params_.margin_events;
      const int turns = params_.all_pairs ? 2 : 1;
#pragma unroll 1
      for (int turn = 0; turn < turns; ++turn) {
        const Turn role = !params_.all_pairs ? Turn::kOneRole
                          : turn == 0        ? Turn::kLooksMore
                                             : Turn::kLooksLess;
        sweep({params_, pass, events, role}, params_.functions[at], first && at == 0 && turn == 0);
      }
    }
  }

  // ---- Phase 3

  // A tile of the table is a block's, a part of it a warp's.
  template <typename Body>
  __device__ __forceinline__ void for_tiles(Body&& body) const {
#pragma unroll 1
    for (int64_t tile = team_.rank(); tile < lists_.num_tiles; tile += team_.size()) {
      const LongList& list = list_with<&LongList::first_tile>(lists_, tile);
      const int64_t part = (tile - list.first_tile) * kWarps + warp_index();
      const int64_t begin = list.begin + part * kPowerTile, end = list.begin + list.size;
      if (begin >= end) continue;
      body(ScanTile{begin, end - begin < kPowerTile ? end : begin + kPowerTile,
                    tile * kWarps + warp_index()});
    }
  }

  // `first`: nothing was added to the lists' sums yet.
  __device__ __forceinline__ void sweep(const LambdaSource<Real>& source,
                                        const ScanFunctions& functions, bool first) {
    const ExponentialScan<LambdaSource<Real>> scan(source, functions, params_.tiles);
    const int sweeps = params_.num_sweeps();
    for_tiles([&](const ScanTile& tile) {
#pragma unroll 1
      for (int s = 0; s < sweeps; ++s) scan.store_tile(SweepStep{s == 0}, tile);
    });
    team_.sync();
    scan_tiles(scan, sweeps);
    team_.sync();
    for_tiles([&](const ScanTile& tile) {
#pragma unroll 1
      for (int s = 0; s < sweeps; ++s) {
        const SweepStep step{s == 0};
        RunSums sums = scan.look(step, tile);
#pragma unroll
        for (int t = 0; t < kScanRun; ++t) {
          const int64_t place = scan.place_of(step, tile, t);
          if (place < tile.end && sweeps == 2) source.add_gradient(place, sums.slope[t]);
        }
        if (step.up) add_up(source, tile, sums, first);
      }
    });
    team_.sync();
  }

  // The warps of one block are far apart among the tasks: few tasks are many blocks' work.
  __device__ __forceinline__ void scan_tiles(const ExponentialScan<LambdaSource<Real>>& scan,
                                             int sweeps) const {
    const int tasks = scan.tasks_of_list(sweeps);
#pragma unroll 1
    for (int64_t at = warp_index() * team_.size() + team_.rank(); at < lists_.size * tasks;
         at += team_.size() * kWarps) {
      const LongList& list = lists_.lists[at / tasks];
      scan.scan_list(static_cast<int>(at % tasks), list.first_tile * kWarps,
                     TileSums<2>::tiles_of(list.size));
    }
  }

  __device__ __forceinline__ void add_up(const LambdaSource<Real>& source, const ScanTile& tile,
                                         const RunSums& sums, bool first) const {
    PairSums own;
#pragma unroll
    for (int t = 0; t < kScanRun; ++t) {
      own.add({sums.value[t], sums.slope[t]});
      const int64_t place = ExponentialScan<LambdaSource<Real>>::place_of({true}, tile, t);
      if (source.turn != Turn::kLooksMore || place >= tile.end) continue;
      const double weight = source.own_weight(place);
      own.add({weight * params_.equal.value, weight * params_.equal.slope});
    }
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

  // ---- Sums of lists

  __device__ __forceinline__ void sum_lists() {
#pragma unroll 1
    for (int64_t at = team_.rank(); at < lists_.size; at += team_.size()) {
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
      const double value = sum.value.high + sum.value.low;
      items_.sums[list.list] = {infinite ? double{kInfinite} : value, sum.slope};
    }
  }

  // Whether a kept pair in the wrong order is infinitely far apart. All threads of a block call
  // this. Infinities above share a label, or the list is poisoned; those below need not where they
  // lie beyond the top.
  __device__ __forceinline__ bool has_infinite_loss(const LongList& list) {
    const int64_t size = params_.both && list.top < list.size ? list.top : list.size;
    const int64_t highest = list.begin;
    const bool above = items_.scores[highest] == kInfinite;
    const bool below = items_.scores[list.begin + size - 1] == -kInfinite;
    if (!above && !below) return false;
    bool found = false;
    // One more than the highest label below, and the complement of the lowest one in the top; where
    // labels do not matter, 2 and that of 0. 0: there is none.
    uint32_t more = 0, less = 0;
#pragma unroll 1
    for (int64_t r = threadIdx.x; r < size; r += kScanThreads) {
      const int64_t position = list.begin + r;
      const uint32_t label = items_.label_ranks[position];
      if (above) found |= label > items_.label_ranks[highest];
      if (items_.scores[position] == -kInfinite) {
        const uint32_t in_all = items_.more_weights[position] != 0 ? 2 : 0;
        more = larger(more, params_.all_pairs ? in_all : label + 1);
      } else if (r < list.top) {
        const uint32_t in_all = items_.less_weights[position] != 0 ? ~0u : 0;
        less = larger(less, params_.all_pairs ? in_all : ~label);
      }
    }
    more = max_over_block(more);
    less = max_over_block(less);
    found |= more != 0 && less != 0 && more - 1 > ~less;
    return __syncthreads_or(found) != 0;
  }

  __device__ __forceinline__ uint32_t max_over_block(uint32_t value) {
#pragma unroll 1
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
      value = larger(value, __shfl_xor_sync(kAllLanes, value, distance));
    }
    __syncthreads();  // of an earlier call, everyone has read
    if (lane_index() == 0) shared_.highest.store(warp_index(), value);
    __syncthreads();
#pragma unroll 1
    for (int warp = 0; warp < kWarps; ++warp) value = larger(value, shared_.highest.load(warp));
    return value;
  }

  FRL_HD static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

  const Team& team_;
  LambdaScanShared& shared_;
  const LambdaScanParams<Real>& params_;
  const RankedLists<Real>& items_;
  const LongListTable& lists_;
  const ScanRounds<Real> rounds_;
};

// Nearly all registers that a thread can have: asked for two blocks a multiprocessor, the compiler
// spills.
template <typename Real>
__global__ void __launch_bounds__(kScanThreads)
    lambda_scan_kernel(const __grid_constant__ LambdaScanParams<Real> params) {
  __shared__ LambdaScanShared shared;
  const GridTeam team;
  LambdaScan<Real, GridTeam>(team, shared, params).solve();
}

}  // namespace fused_rankloss
