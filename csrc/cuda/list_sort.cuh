// SPDX-License-Identifier: BSD-3-Clause
//
// Counting the violating pairs of a block's list by search: O(n log n) for each label.
//
// Cells are in the order of labels (short_lists.cuh): one run of cells for each label. Sorted by
// score within its run, what violates the margin with a row is one end of every run, since
// reach(s) (common/ordered.h) never falls as s rises:
//
//   lower labels    c with reach(s_c) >= s_t:   [first_reaching, end of the run)
//   higher labels   c with s_c <= reach(s_t):   [begin of the run, first_beyond)
//
// Sorting      Runs of 32 cells by counting: a lane's place is the number of lanes with less. Then
//              merges, each of two neighbouring stretches: an item's place is its place in its own,
//              and the number of items with less in the other, which a binary search finds.
// Determinism  keys differ in their cell at least, so that there is one order
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
  uint16_t run;  // its first cell
  uint16_t cell;

  FRL_HD bool before(const SortKey& other) const {
    if (run != other.run) return run < other.run;
    if (score != other.score) return score < other.score;
    return cell < other.cell;
  }

  template <typename Shuffle>
  __device__ __forceinline__ SortKey shuffled(Shuffle shuffle) const {
    const uint32_t both = shuffle(static_cast<uint32_t>(run) << 16 | cell);
    return {shuffle(score), static_cast<uint16_t>(both >> 16), static_cast<uint16_t>(both)};
  }
};

// The first of [begin, end) that `holds` is true for, given that it is for all that follow.
template <typename Predicate>
__device__ __forceinline__ int first_that(int begin, int end, Predicate&& holds) {
  while (begin < end) {
    const int middle = (begin + end) / 2;
    if (holds(middle)) {
      end = middle;
    } else {
      begin = middle + 1;
    }
  }
  return begin;
}

template <typename Real>
using SortShared = SharedArray<SortKey<Real>, kBlockListItems>;

// The sorted keys of cells [0, size), in shared memory. All threads of the block call this; key_of
// makes the key of a cell.
template <typename Real, typename KeyOf>
__device__ __forceinline__ void sort_keys(SortShared<Real>& sorted, int size, KeyOf&& key_of) {
  constexpr int kThreads = ListTeam::kBlockThreads;
  constexpr int kOwn = ListTeam::kOwn;
  const int thread = static_cast<int>(threadIdx.x);

#pragma unroll 1
  for (int begin = 0; begin < size; begin += kThreads) {
    const int cell = begin + thread;
    if (cell - lane_index() >= size) continue;  // of a whole warp
    const bool there = cell < size;
    const SortKey<Real> key = there ? key_of(cell) : SortKey<Real>{0, 0xffff, 0xffff};
    int place = 0;
#pragma unroll 4
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const SortKey<Real> other =
          key.shuffled([lane](auto value) { return __shfl_sync(kAllLanes, value, lane); });
      place += other.before(key);
    }
    if (there) sorted.store(cell - lane_index() + place, key);
  }
  __syncthreads();

#pragma unroll 1
  for (int length = kWarpSize; length < size; length *= 2) {
    SortKey<Real> keys[kOwn];
    int places[kOwn];
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      const int cell = r * kThreads + thread;
      if (cell >= size) continue;
      const SortKey<Real> key = keys[r] = sorted.load(cell);
      const int own_begin = cell & -length;
      const int other_begin = own_begin ^ length;
      const int other_end = other_begin + length < size ? other_begin + length : size;
      const int less = first_that(other_begin, other_end,
                                  [&](int other) { return key.before(sorted.load(other)); });
      places[r] = (cell & -2 * length) + (cell - own_begin) + (less - other_begin);
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      if (r * kThreads + thread < size) sorted.store(places[r], keys[r]);
    }
    __syncthreads();
  }
}

}  // namespace fused_rankloss
