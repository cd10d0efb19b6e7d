// SPDX-License-Identifier: BSD-3-Clause
//
// For each item of an order, sums over all items before it, or after it, in linear time. With x the
// distance of two items, each pair adds a product of two factors, one per item, times
//
//   sum_k c_k exp(-k x),  k = 1 .. K,  c from losses/logistic_series.h.                       (1)
//
// Pairs with kSeesMoments use 1 - (1) in the slope and x + (1) in the value instead.
//
// An order is an array of items, sorted by a coordinate (`position`), ascending or descending. A
// `place` is an index into it. Segments are ranges of any length; items pair within a segment. A
// sweep over the places carries sums over the items before,
//
//   A_k <- exp(-k step) A_k + push,    push of the item at the place,                          (2)
//
// and likewise the sums of the pushes and of the pushes times distance. No decay exceeds 1, so that
// nothing overflows at any distance, and a decay of 0 begins a segment. Two neighbouring ranges
// combine, which makes the sweep a scan:
//
//   1. store_tile   the sums of each tile of places, starting from zero
//   2. scan_list    the exclusive prefix of each tile
//   3. look         each item's sums: its query times (1) and the pushes of the items before
//
// with a grid barrier before 2 and 3. An item pushes F features, one after the other, to one of two
// sides, and sees one of them (ScanPlace). With kSides = 1, all items push to one side and see it.
//
// Mapping      One tile of kPowerTile places per warp, one run of kItemsPerThread per thread. For
//              one feature and one power at a time, each thread sums its run, the warp scans the
//              runs by shuffles, and the thread goes through its run again. A thread thus has the
//              K x F sums one by one instead of all at once: it keeps the run's steps, powers,
//              pushes and results, 8 numbers each, and needs no local memory. In the scan over
//              tiles, each warp has one task: a list, direction, feature and power. Alternative:
//              the lanes hold the powers and walk a run together. That must add over lanes for each
//              item: ten shuffles where this takes two.
// Memory       (2 + K) F 8 / kPowerTile bytes per place for each side and direction: 7 bytes with
//              K = 12, F = 4 and two sides. A source is read 2 F times per place and sweep.
// Numerics     fp64 throughout: sums of millions of fp32 terms need it, and products of decays keep
//              the accuracy of each factor. Distances are taken between neighbours, so that an
//              offset of the scores costs no accuracy. An infinite distance counts as kFar.
// Determinism  Bitwise: the order of all sums depends on the places only
#pragma once

#include "common/compensated_sum.h"
#include "common/exponential.h"
#include "cuda/lists/exponential_states.cuh"
#include "losses/logistic_series.h"

namespace fused_rankloss::cuda {

inline constexpr int kMostPowers = WideSeries::kTerms;

// Stands for an infinite distance: exp(-kFar) is 0.
inline constexpr double kFar = 4096;

// The two functions (1) that a scan sums: the value and the slope of a loss.
struct ScanFunctions {
  int powers = 0;  // K
  double slope[kMostPowers];
  double value[kMostPowers];
  bool has_moments = false;  // some places have kSeesMoments
};

// Flags of a place in a sweep.
enum ScanPlace : unsigned {
  kOpens = 1,        // no earlier item is in the segment
  kPushesMore = 2,   // pushes to the second side
  kSeesMore = 4,     // sees the second side
  kSeesMoments = 8,  // slope = 1 - (1), value = x + (1)
};

// The sums that the items of a run see.
struct RunSums {
  double slope[kItemsPerThread] = {};
  double value[kItemsPerThread] = {};
};

// ---- The scan --------------------------------------------------------------------------------

// A Source provides the items:
//
//   static constexpr int kSides                 1 or 2
//   int features                                F
//   double scale                                factor of all distances
//   double position(place)                      the coordinate, monotone in a segment
//   unsigned at(sweep, place)                   flags of ScanPlace
//   double push(sweep, place, feature)          0 for an item that adds to no other item
//   double query(sweep, place, feature)         0 for an item that needs no sums
template <class Source>
class ExponentialScan {
  static constexpr int kSides = Source::kSides;
  using Tiles = TileSums<kSides>;
  using Moments = MomentState<kSides>;
  using Powers = PowerState<kSides>;

 public:
  __device__ __forceinline__ ExponentialScan(const Source& source, const ScanFunctions& functions,
                                             const Tiles& tiles)
      : source_(source), functions_(functions), tiles_(tiles) {}

  // All lanes of a warp call these with the same arguments.

  // Step 1.
  __device__ __forceinline__ void store_tile(SweepStep sweep, const ScanTile& tile) const {
    RunSums nothing;
    walk<false>(sweep, tile, nothing);
  }

  // Step 2: the tasks of a list, in any order. The tiles of a list are consecutive in the
  // workspace.
  FRL_HD int tasks_of_list(int num_sweeps) const {
    return num_sweeps * source_.features * tasks_of_feature();
  }
  __device__ __forceinline__ void scan_list(int task, int64_t first_tile, int64_t tiles) const {
    const int power = task % tasks_of_feature();
    const int feature = task / tasks_of_feature() % source_.features;
    const SweepStep sweep{task / tasks_of_feature() / source_.features == 0};
    if (power == functions_.powers) {
      scan_moments(sweep, feature, first_tile, tiles);
    } else {
      scan_powers(sweep, feature, power, first_tile, tiles);
    }
  }

  // Step 3: the sums that the thread's places see, in the sweep's order; 0 past the last place.
  __device__ __forceinline__ RunSums look(SweepStep sweep, const ScanTile& tile) const {
    RunSums sums;
    walk<true>(sweep, tile, sums);
    return sums;
  }

  // The thread's place number t in the sweep's order.
  __device__ __forceinline__ static int64_t place_of(SweepStep sweep, const ScanTile& tile, int t) {
    return sweep.place(tile.begin + int64_t{lane_index()} * kItemsPerThread, kItemsPerThread, t);
  }

 private:
  // A thread's run, in the sweep's order.
  struct Run {
    double distance[kItemsPerThread];  // x from the place before; for powers, exp(-x)
    unsigned opens = 0;                // bit t: the flag of ScanPlace at place t
    unsigned pushes_more = 0;
    unsigned sees_more = 0;
    unsigned sees_moments = 0;

    FRL_HD static bool bit(unsigned bits, int t) { return bits >> t & 1; }
    FRL_HD int pushed_side(int t) const { return kSides == 2 && bit(pushes_more, t) ? 1 : 0; }
    FRL_HD int seen_side(int t) const { return kSides == 2 && bit(sees_more, t) ? 1 : 0; }
  };

  FRL_HD int tasks_of_feature() const {
    return functions_.powers + (functions_.has_moments ? 1 : 0);
  }

  FRL_HD typename Tiles::Distance& distance_at(SweepStep sweep, int64_t tile) const {
    return tiles_.distances[(sweep.up ? 0 : tiles_.num_tiles) + tile];
  }
  FRL_HD typename Tiles::Moments& moments_at(SweepStep sweep, int feature, int64_t tile) const {
    const int64_t row = (sweep.up ? 0 : source_.features) + feature;
    return tiles_.moments[row * tiles_.num_tiles + tile];
  }
  FRL_HD typename Tiles::Powers& powers_at(SweepStep sweep, int feature, int power,
                                           int64_t tile) const {
    const int64_t row = (sweep.up ? 0 : source_.features) + feature;
    return tiles_.powers[(row * functions_.powers + power) * tiles_.num_tiles + tile];
  }

  __device__ __forceinline__ Run run_of(SweepStep sweep, const ScanTile& tile) const {
    Run run;
    double previous = 0;
#pragma unroll
    for (int t = 0; t < kItemsPerThread; ++t) {
      const int64_t place = place_of(sweep, tile, t);
      const bool there = place < tile.end;
      const unsigned at = there ? source_.at(sweep, place) : unsigned{kOpens};
      const bool opens = (at & kOpens) != 0;
      // If no segment begins here, there is a place before this one.
      if (t == 0 && !opens) previous = source_.position(sweep.before(place));
      const double here = there ? source_.position(place) : 0;
      run.opens |= (opens ? 1u : 0u) << t;
      run.pushes_more |= ((at & kPushesMore) != 0 ? 1u : 0u) << t;
      run.sees_more |= ((at & kSeesMore) != 0 ? 1u : 0u) << t;
      run.sees_moments |= ((at & kSeesMoments) != 0 ? 1u : 0u) << t;
      // Equal infinities have distance 0.
      const double distance = opens || here == previous ? 0 : source_.scale * fabs(here - previous);
      run.distance[t] = is_finite(distance) ? distance : kFar;
      previous = here;
    }
    return run;
  }

  __device__ __forceinline__ void load_pushes(SweepStep sweep, const ScanTile& tile, int feature,
                                              double (&pushes)[kItemsPerThread]) const {
#pragma unroll
    for (int t = 0; t < kItemsPerThread; ++t) {
      const int64_t place = place_of(sweep, tile, t);
      pushes[t] = place < tile.end ? source_.push(sweep, place, feature) : 0;
    }
  }

  __device__ __forceinline__ void load_queries(SweepStep sweep, const ScanTile& tile, int feature,
                                               double (&queries)[kItemsPerThread]) const {
#pragma unroll
    for (int t = 0; t < kItemsPerThread; ++t) {
      const int64_t place = place_of(sweep, tile, t);
      queries[t] = place < tile.end ? source_.query(sweep, place, feature) : 0;
    }
  }

  template <bool kLooks>
  __device__ __forceinline__ void walk(SweepStep sweep, const ScanTile& tile, RunSums& sums) const {
    Run run = run_of(sweep, tile);
    if (!kLooks || functions_.has_moments) {
#pragma unroll 1
      for (int feature = 0; feature < source_.features; ++feature) {
        walk_moments<kLooks>(sweep, tile, feature, run, sums);
      }
    }
    if (functions_.powers > 0) {
#pragma unroll
      for (int t = 0; t < kItemsPerThread; ++t) {
        run.distance[t] = Run::bit(run.opens, t) ? 0 : exp_of_negative<13>(run.distance[t]);
      }
#pragma unroll 1
      for (int feature = 0; feature < source_.features; ++feature) {
        walk_powers<kLooks>(sweep, tile, feature, run, sums);
      }
    }
#pragma unroll
    for (int t = 0; kLooks && t < kItemsPerThread; ++t) {
      if (Run::bit(run.sees_moments, t)) sums.slope[t] = -sums.slope[t];
    }
  }

  template <bool kLooks>
  __device__ __forceinline__ void walk_moments(SweepStep sweep, const ScanTile& tile, int feature,
                                               const Run& run, RunSums& sums) const {
    double pushes[kItemsPerThread];
    load_pushes(sweep, tile, feature, pushes);
    Moments own;
#pragma unroll
    for (int t = 0; t < kItemsPerThread; ++t) {
      own.step(Run::bit(run.opens, t), run.distance[t]);
      push(own, run.pushed_side(t), pushes[t]);
    }
    const LanesScanned<Moments> scanned = scan_lanes(sweep, own);
    if constexpr (!kLooks) {
      if (sweep.lanes_met() != kWarpSize - 1) return;
      if (feature == 0) {
        distance_at(sweep, tile.index) = {scanned.through.distance, scanned.through.closed};
      }
      typename Tiles::Moments& stored = moments_at(sweep, feature, tile.index);
      for (int side = 0; side < kSides; ++side) {
        stored.sides[side] = scanned.through.moments[side];
      }
    } else {
      double queries[kItemsPerThread];
      load_queries(sweep, tile, feature, queries);
      Moments outside;
      for (int side = 0; side < kSides; ++side) {
        outside.moments[side] = moments_at(sweep, feature, tile.index).sides[side];
      }
      Moments state = Moments::combine(outside, scanned.before);
#pragma unroll
      for (int t = 0; t < kItemsPerThread; ++t) {
        state.step(Run::bit(run.opens, t), run.distance[t]);
        if (Run::bit(run.sees_moments, t)) {
          const DistanceMoments& seen =
              run.seen_side(t) == 0 ? state.moments[0] : state.moments[kSides - 1];
          // Negated, since walk() negates the sum at its end: slope = 1 - (1).
          sums.slope[t] -= queries[t] * seen.count;
          sums.value[t] += queries[t] * seen.first;
        }
        push(state, run.pushed_side(t), pushes[t]);
      }
    }
  }

  FRL_HD static void push(Moments& state, int side, double weight) {
    for (int s = 0; s < kSides; ++s) state.moments[s].count += s == side ? weight : 0;
  }
  FRL_HD static void push(Powers& state, int side, double decay, double weight) {
    for (int s = 0; s < kSides; ++s) {
      state.sums[s] = state.sums[s] * decay + (s == side ? weight : 0);
    }
  }

  template <bool kLooks>
  __device__ __forceinline__ void walk_powers(SweepStep sweep, const ScanTile& tile, int feature,
                                              const Run& run, RunSums& sums) const {
    double pushes[kItemsPerThread], queries[kItemsPerThread], decays[kItemsPerThread];
    load_pushes(sweep, tile, feature, pushes);
    if constexpr (kLooks) load_queries(sweep, tile, feature, queries);
#pragma unroll
    for (int t = 0; t < kItemsPerThread; ++t) decays[t] = 1;
#pragma unroll 1
    for (int power = 0; power < functions_.powers; ++power) {
      Powers own;
#pragma unroll
      for (int t = 0; t < kItemsPerThread; ++t) {
        decays[t] *= run.distance[t];
        push(own, run.pushed_side(t), decays[t], pushes[t]);
        own.decay *= decays[t];
      }
      const LanesScanned<Powers> scanned = scan_lanes(sweep, own);
      typename Tiles::Powers& stored = powers_at(sweep, feature, power, tile.index);
      if constexpr (!kLooks) {
        if (sweep.lanes_met() != kWarpSize - 1) continue;
        for (int side = 0; side < kSides; ++side) stored.sides[side] = scanned.through.sums[side];
      } else {
        Powers outside;
        for (int side = 0; side < kSides; ++side) outside.sums[side] = stored.sides[side];
        Powers state = Powers::combine(outside, scanned.before);
        const double slope = functions_.slope[power], value = functions_.value[power];
#pragma unroll
        for (int t = 0; t < kItemsPerThread; ++t) {
          const double seen = run.seen_side(t) == 0 ? state.sums[0] : state.sums[kSides - 1];
          const double term = queries[t] * (decays[t] * seen);
          sums.slope[t] += slope * term;
          sums.value[t] += value * term;
          push(state, run.pushed_side(t), decays[t], pushes[t]);
        }
      }
    }
  }

  // ---- Step 2

  __device__ __forceinline__ void scan_moments(SweepStep sweep, int feature, int64_t first_tile,
                                               int64_t tiles) const {
    scan_tiles<Moments>(
        sweep, first_tile, tiles,
        [&](int64_t tile) {
          Moments own;
          for (int side = 0; side < kSides; ++side) {
            own.moments[side] = moments_at(sweep, feature, tile).sides[side];
          }
          own.distance = distance_at(sweep, tile).distance;
          own.closed = distance_at(sweep, tile).closed;
          return own;
        },
        [&](int64_t tile, const Moments& before) {
          for (int side = 0; side < kSides; ++side) {
            moments_at(sweep, feature, tile).sides[side] = before.moments[side];
          }
        });
  }

  __device__ __forceinline__ void scan_powers(SweepStep sweep, int feature, int power,
                                              int64_t first_tile, int64_t tiles) const {
    scan_tiles<Powers>(
        sweep, first_tile, tiles,
        [&](int64_t tile) {
          Powers own;
          const typename Tiles::Distance step = distance_at(sweep, tile);
          own.decay = step.closed != 0 ? 0 : exp_of_negative<13>((power + 1) * step.distance);
          for (int side = 0; side < kSides; ++side) {
            own.sums[side] = powers_at(sweep, feature, power, tile).sides[side];
          }
          return own;
        },
        [&](int64_t tile, const Powers& before) {
          for (int side = 0; side < kSides; ++side) {
            powers_at(sweep, feature, power, tile).sides[side] = before.sums[side];
          }
        });
  }

  const Source& source_;
  const ScanFunctions& functions_;
  const Tiles& tiles_;
};

}  // namespace fused_rankloss::cuda
