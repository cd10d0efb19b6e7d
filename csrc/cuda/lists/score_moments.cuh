// SPDX-License-Identifier: BSD-3-Clause
//
// Moments of the gaps between a score and the items of its segment below or above it, for every
// position of an order (score_order.cuh). In an upward sweep, item p of a segment that begins at b
// has
//
//   below(p) = moments about s_p of the more relevant items in [b, p]                         (1)
//
// with `advance` from position to position (losses/gap_moments.h), and in a downward sweep
//
//   above(p) = moments about s_p of the less relevant items in [p, end of the segment).       (2)
//
// Neither depends on the margin. The partners that violate the margin with an item are one range of
// the segment; the moments at the end of the range are advanced by the gap from there to the item.
//
// Two neighbouring ranges combine, so that a scan computes (1) and (2) for all positions. They are
// stored at every kCheckpoint-th position; a query walks from there.
//
// Memory       1.5 bytes per position, 80 per tile; scores are read twice, weights gathered by slot
// Numerics     fp64, and all terms are non-negative; an infinite gap makes the moments of a
//              non-empty range infinite
// Determinism  ranges combine in an order that depends only on positions
#pragma once

#include "args/pairwise.h"
#include "cuda/lists/score_order.cuh"
#include "losses/gap_moments.h"

namespace fused_rankloss::cuda {

// The moments of a range of positions, at its end in the order of the sweep.
struct SweepState {
  GapMoments moments;    // about `score`
  double score = 0;      // of the range's last position, in the order of the sweep
  uint32_t closed = 0;   // a segment ends before or in the range: earlier items have no effect
  uint32_t present = 0;  // the range is not empty

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

// The results of both sweeps, in the workspace.
struct MomentArrays {
  GapMoments* checkpoints[2];  // [num_checkpoints] by Sweep: over the tile's earlier positions
  SweepState* tiles[2];  // [num_tiles]: over the tile -> after the scan, over all earlier ones
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

  // Whether a segment ends between a position and the previous one of the sweep, or there is none.
  FRL_HD bool opens(Position position) const {
    if constexpr (kUp) return segments.is_head(position);
    return position + 1 >= segments.size || segments.is_head(position + 1);
  }

  // Advances the moments from the previous position to this one, and adds this one.
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
    const RunRecord run = segments.runs[walk / kItemsPerThread];
    if ((kUp ? run.head_before : run.head_after) == kNowhere && !opens(edge)) {
      // The segment begins before the tile and contains the checkpoint.
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

  // Stores the checkpoints and the state of one tile. Every thread calls this.
  __device__ __forceinline__ void store_tile(ScanShared<SweepState, kScanThreads>& shared,
                                             int64_t tile) const {
    const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kItemsPerThread;
    SweepState own;
#pragma unroll 1
    for (int step = 0; step < kItemsPerThread; ++step) {
      const int64_t place = kUp ? first + step : first + kItemsPerThread - 1 - step;
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
    constexpr int kRuns = kCheckpoint / kItemsPerThread;
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
      // Steps follow the direction of the sweep; within a step, threads are in ascending tile
      // order.
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
  // The first position, in the order of the sweep, of the aligned range of length `length` around
  // one.
  FRL_HD Position first_of(Position position, Position length) const {
    const Position begin = position / length * length;
    if (kUp) return begin;
    const Position last = begin + (length - 1);
    return last < segments.size ? last : static_cast<Position>(segments.size - 1);
  }

  FRL_HD void meet(GapMoments& moments, Position position) const {
    if (segments.is_more(position) != kUp) return;
    const int64_t slot = order.slots[position];
    moments.push(kUp ? weights.more(slot) : weights.less(slot));
  }
};

}  // namespace fused_rankloss::cuda
