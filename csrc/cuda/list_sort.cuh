// SPDX-License-Identifier: BSD-3-Clause
//
// Counting the violating pairs of a block's list by search: O(n log n) for each label.
//
// Cells are in the order of labels (list_pairs.cuh): one run of cells for each label. Sorted by
// score within its run, what violates the margin with a row is one end of every run, since
// reach(s) (common/ordered.h) never falls as s rises:
//
//   lower labels    c with reach(s_c) >= s_t:   [first_reaching, end of the run)
//   higher labels   c with s_c <= reach(s_t):   [begin of the run, first_beyond)
//
// Sorting      Groups of 32 cells by counting: a lane's place is the number of lanes with less.
// Then
//              merges, each of two neighbouring stretches of a run: an item's place is its place in
//              its own, and the number of items with less in the other, which a binary search
//              finds.
// Determinism  equal scores stay in their order: there is one result
#pragma once

#include "common/ordered.h"
#include "cuda/list_team.cuh"

namespace fused_rankloss {

// Where an item comes from and where its partners are.
struct Place {
  uint32_t slot : 10;    // counted from the list's first
  uint32_t lower : 11;   // cells before this one have lower labels: here its label's run begins
  uint32_t higher : 11;  // cells from this one on have higher labels
};
static_assert(kBlockListItems <= 1024, "a Place holds 10 bits of a slot");

template <typename Real>
struct SortKey {
  using Score = decltype(ordered_key(Real{}));

  Score score;
  uint16_t cell;  // before sorting
};

// The keys of NaN may be the highest of all; their list is poisoned, and they are made lower, so
// that every key has a next one.
template <typename Real>
FRL_HD decltype(ordered_key(Real{})) sort_score(Real score) {
  const auto key = ordered_key(score);
  return key < static_cast<decltype(key)>(-2) ? key : static_cast<decltype(key)>(-2);
}

// Orders lanes by (run, score, lane).
FRL_HD bool is_before(unsigned run, uint32_t score, int lane, unsigned other_run,
                      uint32_t other_score, int other_lane) {
  const auto pack = [](unsigned run, uint32_t score, int lane) {
    return static_cast<uint64_t>(run) << 37 | static_cast<uint64_t>(score) << 5 |
           static_cast<unsigned>(lane);
  };
  return pack(run, score, lane) < pack(other_run, other_score, other_lane);
}

FRL_HD bool is_before(unsigned run, uint64_t score, int lane, unsigned other_run,
                      uint64_t other_score, int other_lane) {
  if (run != other_run) return run < other_run;
  return score < other_score || (score == other_score && lane < other_lane);
}

template <typename Real>
using SortShared = SharedArray<SortKey<Real>, kBlockListItems>;
using Places = SharedArray<Place, kBlockListItems>;

// Sorts the cells [0, size) within their runs. All threads of the block call this; score_of is the
// score of a cell.
template <typename Real, typename ScoreOf>
__device__ __forceinline__ void sort_runs(SortShared<Real>& sorted, Places& places, int size,
                                          ScoreOf&& score_of) {
  using Score = typename SortKey<Real>::Score;
  constexpr int kThreads = ListTeam::kBlockThreads;
  constexpr int kOwn = ListTeam::kOwn;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = lane_index();

#pragma unroll 1
  for (int cell = thread; cell - lane < size; cell += kThreads) {
    const bool there = cell < size;
    const unsigned run = there ? places.load(cell).lower : kBlockListItems;  // beyond all others
    const Score score = there ? sort_score(score_of(cell)) : 0;
    int place = 0;
#pragma unroll 4
    for (int other = 0; other < kWarpSize; ++other) {
      const unsigned other_run = __shfl_sync(kAllLanes, run, other);
      const Score other_score = __shfl_sync(kAllLanes, score, other);
      place += is_before(other_run, other_score, other, run, score, lane);
    }
    if (there) sorted.store(cell - lane + place, {score, static_cast<uint16_t>(cell)});
  }
  __syncthreads();

#pragma unroll 1
  for (int length = kWarpSize; length < size; length *= 2) {
    SortKey<Real> keys[kOwn];
    int targets[kOwn];
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      const int cell = r * kThreads + thread;
      if (cell >= size) continue;
      const Place place = places.load(cell);
      const auto within_run = [&](int edge) {
        const int begin = place.lower, end = place.higher;
        return edge < begin ? begin : (edge > end ? end : edge);
      };
      const int own_edge = cell & -length;
      const int other_edge = own_edge ^ length;
      const int other_begin = within_run(other_edge);
      const int other_end = within_run(other_edge + length);
      keys[r] = sorted.load(cell);
      // Of equal scores, those on the left come first.
      const Score least = keys[r].score + (own_edge > other_edge ? 1 : 0);
      const int first = first_that(other_begin, other_end,
                                   [&](int other) { return sorted.load(other).score >= least; });
      // Own items before this one stay before it; the others' begin of both is the left one's.
      const int own_begin = within_run(own_edge);
      const int begin = own_begin < other_begin ? own_begin : other_begin;
      targets[r] = begin + (cell - own_begin) + (first - other_begin);
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      if (r * kThreads + thread < size) sorted.store(targets[r], keys[r]);
    }
    __syncthreads();
  }
}

}  // namespace fused_rankloss
