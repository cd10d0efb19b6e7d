// SPDX-License-Identifier: BSD-3-Clause
//
// Moments of the gaps between a score and the items of its segment below or above it, for every
// position of an order (score_order.cuh). Sweeping up, item p of the segment that begins at b has
//
//   below(p) = moments about s_p of the more relevant items in [b, p]                         (1)
//
// with `advance` from position to position (losses/gap_moments.h), and sweeping down
//
//   above(p) = moments about s_p of the less relevant items in [p, end of the segment).       (2)
//
// Neither knows of the margin: what violates it with an item is one stretch of the segment, and the
// moments at the end of the stretch are advanced by the gap that remains to the item.
//
// Two neighbouring stretches combine, so that a scan finds (1) and (2) for all positions. They are
// kept at every kCheckpoint-th position; a query walks from there.
//
// Memory       1.5 bytes a position, 80 a tile; scores are read twice, weights gathered by slot
// Numerics     fp64, and all terms non-negative; an infinite gap makes infinite moments, once an
//              item was met
// Determinism  stretches combine in an order that depends on positions alone
#pragma once

#include "args/pairwise.h"
#include "cuda/lists/score_order.cuh"
#include "losses/gap_moments.h"

namespace fused_rankloss::cuda {

// What a stretch of positions adds, where a sweep leaves it.
struct SweepState {
  GapMoments moments;    // about `score`
  double score = 0;      // of the stretch's last position, in the order of the sweep
  uint32_t closed = 0;   // a segment ends before or in the stretch: nothing earlier goes through
  uint32_t present = 0;  // the stretch has a position

  FRL_HD static SweepState combine(const SweepState& earlier, const SweepState& later) {
    if (later.present == 0) return earlier;
    SweepState both = later;
    if (later.closed == 0 && earlier.present != 0) {
      GapMoments before = earlier.moments;
      before.advance(distance(earlier.score, later.score));
      both.moments.add(before);
    }
    both.closed |= earlier.closed;
    return both;
  }

  template <typename Shuffle>
  __device__ __forceinline__ SweepState shuffled(Shuffle shuffle) const {
    return {{shuffle(moments.count), shuffle(moments.first), shuffle(moments.second)},
            shuffle(score),
            shuffle(closed),
            shuffle(present)};
  }

  FRL_HD static double distance(double a, double b) { return a < b ? b - a : a - b; }
};

// Both sweeps' results, in the workspace.
struct MomentArrays {
  GapMoments* checkpoints[2];  // [num_checkpoints] by Sweep: of the tile's earlier positions
  SweepState* tiles[2];        // [num_tiles]: of the tile -> of all earlier ones
};

template <typename Real>
struct SweepWeights {
  const Real* weights;  // by slot, or null
  bool preferred;

  FRL_HD double more(int64_t slot) const { return weights ? weights[slot] : Real(1); }
  FRL_HD double less(int64_t slot) const { return weights && !preferred ? weights[slot] : Real(1); }
};

// One sweep over the items of an order.
template <Sweep kSweep, typename Real>
struct MomentSweep {
  static constexpr bool kUp = kSweep == Sweep::kUp;

  Order<ScoreKey<Real>> order;
  Segments segments;
  SweepWeights<Real> weights;
  GapMoments* checkpoints;
  SweepState* tiles;

  FRL_HD double score(Position position) const { return value_of_key(order.keys[position]); }

  FRL_HD static Position met_before(Position position) { return kUp ? position - 1 : position + 1; }

  // A segment ends between a position and the one that the sweep met before it. True at the first.
  FRL_HD bool opens(Position position) const {
    if constexpr (kUp) return segments.is_head(position);
    return position + 1 >= segments.size || segments.is_head(position + 1);
  }

  // Takes a position into the moments about the one before it.
  FRL_HD void pass(GapMoments& moments, Position position) const {
    if (opens(position)) {
      moments = {};
    } else {
      moments.advance(SweepState::distance(score(met_before(position)), score(position)));
    }
    meet(moments, position);
  }

  // The moments at a position: (1) or (2).
  __device__ __forceinline__ GapMoments at(Position position) const {
    const Position tile = position / kScanTile;
    GapMoments moments = checkpoints[position / kCheckpoint];
    Position walk = first_of(position, kCheckpoint);
    const Position edge = first_of(position, kScanTile);
    const RunRecord run = segments.runs[walk / kScanRun];
    if ((kUp ? run.head_before : run.head_after) == kNowhere && !opens(edge)) {
      // The segment comes into the tile, and up to the checkpoint.
      GapMoments outside = tiles[tile].moments;
      if (walk != edge) {
        outside.advance(SweepState::distance(tiles[tile].score, score(met_before(walk))));
      }
      moments.add(outside);
    }
    pass(moments, walk);
    while (walk != position) {
      walk = kUp ? walk + 1 : walk - 1;
      pass(moments, walk);
    }
    return moments;
  }

  // ---- Making the arrays

  // The checkpoints of one tile, and what the tile adds. Every thread calls this.
  __device__ __forceinline__ void store_tile(ScanShared<SweepState, kScanThreads>& shared,
                                             int64_t tile) const {
    const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kScanRun;
    SweepState own;
#pragma unroll 1
    for (int step = 0; step < kScanRun; ++step) {
      const int64_t place = kUp ? first + step : first + kScanRun - 1 - step;
      if (place >= segments.size) continue;
      const Position position = static_cast<Position>(place);
      own.closed |= opens(position);
      if (own.present == 0) {
        meet(own.moments, position);
      } else {
        pass(own.moments, position);
      }
      own.present = 1;
      own.score = score(position);
    }
    const Scanned<SweepState> scanned = scan_block<kSweep, kScanThreads>(shared, own);
    constexpr int kRuns = kCheckpoint / kScanRun;
    const int run = static_cast<int>(threadIdx.x) % kRuns;
    if (run == (kUp ? 0 : kRuns - 1)) {
      checkpoints[first / kCheckpoint] = scanned.before.moments;
    }
    if (threadIdx.x == 0) tiles[tile] = scanned.total;
  }

  // One block calls this.
  __device__ __forceinline__ void scan_tiles(ScanShared<SweepState, kScanThreads>& shared) const {
    const int64_t num_tiles = segments.num_tiles();
    SweepState earlier;
#pragma unroll 1
    for (int64_t met = 0; met < num_tiles; met += kScanThreads) {
      // Steps begin where the sweep does; within a step the threads stand in the order of tiles.
      const int64_t first = kUp ? met : num_tiles - met - kScanThreads;
      const int64_t tile = first + threadIdx.x;
      const bool there = tile >= 0 && tile < num_tiles;
      const SweepState own = there ? tiles[tile] : SweepState{};
      const Scanned<SweepState> scanned = scan_block<kSweep, kScanThreads>(shared, own);
      if (there) tiles[tile] = SweepState::combine(earlier, scanned.before);
      earlier = SweepState::combine(earlier, scanned.total);
    }
  }

 private:
  // Of the stretch of so many positions around one, the first that the sweep meets.
  FRL_HD Position first_of(Position position, Position stretch) const {
    const Position begin = position / stretch * stretch;
    if (kUp) return begin;
    const Position last = begin + (stretch - 1);
    return last < segments.size ? last : static_cast<Position>(segments.size - 1);
  }

  FRL_HD void meet(GapMoments& moments, Position position) const {
    if (segments.is_more(position) != kUp) return;
    const int64_t slot = order.slots[position];
    moments.push(kUp ? weights.more(slot) : weights.less(slot));
  }
};

}  // namespace fused_rankloss::cuda
