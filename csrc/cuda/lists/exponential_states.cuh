// SPDX-License-Identifier: BSD-3-Clause
//
// States of the exponential scan (exponential_scan.cuh): for a range of places, the sums over it
// and the factor that it applies to the sums before it. There are moments of distances, and
// decaying sums. Neighbouring ranges combine, over the lanes of a warp and the tiles of a list.
//
// Determinism  the order of all sums depends only on the number of lanes and tiles
#pragma once

#include "common/workspace.h"
#include "cuda/primitives/grid.cuh"
#include "cuda/primitives/warp.cuh"

namespace fused_rankloss::cuda {

inline constexpr int kPowerTile = kWarpSize * kItemsPerThread;

// Direction of a sweep: from the first place up, or from the last one down. A value rather than a
// template argument, so that the code is compiled once.
struct SweepStep {
  bool up;

  FRL_HD int64_t place(int64_t begin, int64_t size, int64_t met) const {
    return up ? begin + met : begin + size - 1 - met;
  }
  FRL_HD int64_t before(int64_t place) const { return up ? place - 1 : place + 1; }

  __device__ __forceinline__ int lanes_met() const {
    return up ? lane_index() : kWarpSize - 1 - lane_index();
  }
};

// ---- States: the sums of a range, and its effect on the sums before it -----------------------

// sum w and sum w x over the items of a range, x the distance of an item from its end.
struct DistanceMoments {
  double count = 0;
  double first = 0;

  FRL_HD void advance(double distance) { first += count * distance; }
};

template <int kSides>
struct MomentState {
  DistanceMoments moments[kSides];
  double distance = 0;  // length of the range
  uint32_t closed = 0;  // a segment begins in it, so earlier items have no effect after it

  FRL_HD void step(bool opens, double by) {
    for (DistanceMoments& side : moments) {
      if (opens) {
        side = {};
      } else {
        side.advance(by);
      }
    }
    distance += by;
    closed |= opens;
  }

  FRL_HD static MomentState combine(const MomentState& earlier, const MomentState& later) {
    MomentState both = later;
    for (int side = 0; side < kSides && later.closed == 0; ++side) {
      DistanceMoments before = earlier.moments[side];
      before.advance(later.distance);
      both.moments[side].count += before.count;
      both.moments[side].first += before.first;
    }
    both.distance += earlier.distance;
    both.closed |= earlier.closed;
    return both;
  }

  template <typename Shuffle>
  __device__ __forceinline__ MomentState shuffled(Shuffle shuffle) const {
    MomentState other;
    for (int side = 0; side < kSides; ++side) {
      other.moments[side] = {shuffle(moments[side].count), shuffle(moments[side].first)};
    }
    other.distance = shuffle(distance);
    other.closed = shuffle(closed);
    return other;
  }
};

template <int kSides>
struct PowerState {
  double sums[kSides] = {};
  double decay = 1;

  FRL_HD static PowerState combine(const PowerState& earlier, const PowerState& later) {
    PowerState both = later;
    for (int side = 0; side < kSides; ++side) both.sums[side] += later.decay * earlier.sums[side];
    both.decay *= earlier.decay;
    return both;
  }

  template <typename Shuffle>
  __device__ __forceinline__ PowerState shuffled(Shuffle shuffle) const {
    PowerState other;
    for (int side = 0; side < kSides; ++side) other.sums[side] = shuffle(sums[side]);
    other.decay = shuffle(decay);
    return other;
  }
};

// A lane's result of a scan: inclusive and exclusive prefix.
template <typename State>
struct LanesScanned {
  State through;  // including the lane's own run
  State before;
};

// All lanes call this.
template <typename State>
__device__ __forceinline__ LanesScanned<State> scan_lanes(const SweepStep& sweep,
                                                          const State& own) {
  const int met = sweep.lanes_met();
  const auto from_earlier = [&](const State& state, int distance) {
    const int source = lane_index() + (sweep.up ? -distance : distance);
    return state.shuffled([source](auto value) { return __shfl_sync(kAllLanes, value, source); });
  };
  State through = own;
#pragma unroll
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const State earlier = from_earlier(through, distance);
    if (met >= distance) through = State::combine(earlier, through);
  }
  State before = from_earlier(through, 1);
  if (met == 0) before = State{};
  return {through, before};
}

// Exclusive scan over the tiles of a list, 32 at a time: `load(tile)` returns the tile's state,
// `store(tile, state)` takes its prefix. All lanes call this.
template <typename State, typename Load, typename Store>
__device__ __forceinline__ void scan_tiles(const SweepStep& sweep, int64_t first_tile,
                                           int64_t tiles, Load&& load, Store&& store) {
  const int last_lane = sweep.up ? kWarpSize - 1 : 0;
  State earlier;
#pragma unroll 1
  for (int64_t met = 0; met < tiles; met += kWarpSize) {
    const int64_t own_met = met + sweep.lanes_met();
    const bool there = own_met < tiles;
    const int64_t tile = sweep.place(first_tile, tiles, own_met);
    State own;
    if (there) own = load(tile);
    const LanesScanned<State> scanned = scan_lanes(sweep, own);
    if (there) store(tile, State::combine(earlier, scanned.before));
    const State total = scanned.through.shuffled(
        [last_lane](auto value) { return __shfl_sync(kAllLanes, value, last_lane); });
    earlier = State::combine(earlier, total);
  }
}

// A warp's places, up to kPowerTile of one list, and the index of their tile in the workspace.
struct ScanTile {
  int64_t begin;
  int64_t end;
  int64_t index;
};

// ---- The workspace ---------------------------------------------------------------------------

// The sums of each tile; after step 2, its exclusive prefix.
template <int kSides>
struct TileSums {
  struct Moments {
    DistanceMoments sides[kSides];
  };
  struct Powers {
    double sides[kSides];
  };
  struct Distance {
    double distance;
    uint32_t closed;
  };

  Distance* distances;  // [sweeps, tiles]
  Moments* moments;     // [sweeps, features, tiles]
  Powers* powers;       // [sweeps, features, K, tiles]
  int64_t num_tiles;

  FRL_HD static int64_t tiles_of(int64_t places) { return (places + kPowerTile - 1) / kPowerTile; }

  // Takes the arrays out of a Workspace.
  static TileSums take(Workspace& workspace, int64_t tiles, int sweeps, int features, int powers) {
    TileSums sums{};
    sums.num_tiles = tiles;
    const int64_t entries = sweeps * sums.num_tiles;
    sums.distances = workspace.take<Distance>(entries);
    sums.moments = workspace.take<Moments>(entries * features);
    sums.powers = workspace.take<Powers>(entries * features * powers);
    return sums;
  }
};

}  // namespace fused_rankloss::cuda
