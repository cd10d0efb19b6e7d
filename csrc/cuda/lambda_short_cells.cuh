// SPDX-License-Identifier: BSD-3-Clause
//
// The shared memory of a list in lambda_short.cuh, and what its team does in it: sorting, and sums
// over all threads.
//
// Cells         A warp has a slice of its own, a block all of them: ListTeam::first_cell.
// Determinism   The bits of a result follow from the list's items alone. Sorts are stable. Sums are
//               added up thread by thread within lanes 0 to 31 first: 32 threads with several rows
//               each have the same order as 256 with one.
#pragma once

#include "cuda/lambda_policy.h"
#include "cuda/list_team.cuh"

namespace fused_rankloss {

// Beside an item, what its pairs are found by.
struct CellPlace {
  uint32_t slot : 10;   // counted from the list's first
  uint32_t rank : 10;   // from 0
  uint32_t level : 10;  // the list's items with lower labels
};
static_assert(kShortLambda <= 1024, "a CellPlace holds 10 bits of a slot");

// What a column of a pair is read from, but for its discount.
template <typename Real>
struct alignas(sizeof(Real) == 4 ? 16 : 8) CellItem {
  Real score;
  Real weight;
  double gain;
};

// Bits of fp64 numbers, and of others in between.
using CellWords = SharedArray<uint64_t, kShortLambda>;

template <typename Real>
struct LambdaCells {
  SharedArray<CellItem<Real>, kShortLambda> items;
  CellWords discounts;  // as they enter the weights
  CellWords words;      // sort keys; then discounts of ranks, for distances; sums of threads
  SharedArray<CellPlace, kShortLambda> places;
  SharedArray<int, ListTeam::kOwn * kListWarps> counts;
  SharedArray<ListPartial, kListWarps> sums;  // of the block's lists
  ListTeamShared team;
};

// The first of [begin, end) that `holds` is true for, given that it is for all that follow.
template <typename Predicate>
__device__ __forceinline__ int first_cell_that(int begin, int end, Predicate&& holds) {
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

// ---- Sorting ---------------------------------------------------------------

// Sorts the team's words [0, size) and takes the places with them; equal words keep their order.
// All threads of the team call this, and it ends with their barrier.
//
// Groups of 32 by counting: a lane's place is the number of lanes that come before it. Then merges
// of two neighbouring stretches: an item's place is its place in its own, and the number of items
// that come before it in the other, which a binary search finds.
template <typename Real>
__device__ __forceinline__ void sort_cells(const ListTeam& team, LambdaCells<Real>& cells,
                                           int size) {
  constexpr int kOwn = ListTeam::kOwn;
  const int first = team.first_cell();
  const int lane = lane_index();
#pragma unroll 1
  for (int cell = team.thread(); cell - lane < size; cell += team.size()) {
    const bool there = cell < size;
    const uint64_t key = there ? cells.words.load(first + cell) : UINT64_MAX;
    const CellPlace place = there ? cells.places.load(first + cell) : CellPlace{};
    int before = 0;
#pragma unroll 4
    for (int other = 0; other < kWarpSize; ++other) {
      const uint64_t other_key = __shfl_sync(kAllLanes, key, other);
      before += other_key < key || (other_key == key && other < lane);
    }
    __syncwarp();
    if (there) {
      cells.words.store(first + cell - lane + before, key);
      cells.places.store(first + cell - lane + before, place);
    }
  }
  team.sync();

#pragma unroll 1
  for (int length = kWarpSize; length < size; length *= 2) {
    uint64_t keys[kOwn];
    CellPlace places[kOwn];
    int targets[kOwn];
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      const int cell = team.thread() + r * team.size();
      if (cell >= size) continue;
      const int own = cell & -length;
      const int other = own ^ length;
      const int other_begin = other < size ? other : size;
      const int other_end = other + length < size ? other + length : size;
      keys[r] = cells.words.load(first + cell);
      places[r] = cells.places.load(first + cell);
      // Of equal keys, those on the left come first.
      const int before = first_cell_that(other_begin, other_end, [&](int at) {
        const uint64_t key = cells.words.load(first + at);
        return own < other ? key >= keys[r] : key > keys[r];
      });
      targets[r] = (own < other ? own : other) + (cell - own) + (before - other_begin);
    }
    team.sync();
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      if (team.thread() + r * team.size() >= size) continue;
      cells.words.store(first + targets[r], keys[r]);
      cells.places.store(first + targets[r], places[r]);
    }
    team.sync();
  }
}

// ---- Sums ------------------------------------------------------------------

struct TeamSums {
  double value = 0;
  double slope = 0;
  double pairs = 0;

  __device__ __forceinline__ void add(const TeamSums& other) {
    value += other.value;
    slope += other.slope;
    pairs += other.pairs;
  }
};

// The sum over the lanes that are 1, 2, .. `lanes` / 2 apart, in each of them.
__device__ __forceinline__ TeamSums sum_of_lanes(TeamSums sums, int lanes) {
#pragma unroll 1
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    sums.add({__shfl_xor_sync(kAllLanes, sums.value, distance),
              __shfl_xor_sync(kAllLanes, sums.slope, distance),
              __shfl_xor_sync(kAllLanes, sums.pairs, distance)});
  }
  return sums;
}

// The sum over the team, in all of its threads. Overwrites a block's words, between barriers.
__device__ __forceinline__ TeamSums sum_of_team(const ListTeam& team, CellWords& words,
                                                TeamSums sums) {
  constexpr int kThreads = ListTeam::kBlockThreads;
  static_assert(3 * kThreads <= kShortLambda, "sums of all threads fit the words");
  team.sync();
  if (team.is_block()) {
    const int thread = static_cast<int>(threadIdx.x);
    words.store(thread, bit_cast<uint64_t>(sums.value));
    words.store(kThreads + thread, bit_cast<uint64_t>(sums.slope));
    words.store(2 * kThreads + thread, bit_cast<uint64_t>(sums.pairs));
    __syncthreads();
    sums = {};
#pragma unroll 1
    for (int from = lane_index(); from < kThreads; from += kWarpSize) {
      sums.add({bit_cast<double>(words.load(from)), bit_cast<double>(words.load(kThreads + from)),
                bit_cast<double>(words.load(2 * kThreads + from))});
    }
    __syncthreads();
  }
  return sum_of_lanes(sums, kWarpSize);
}

}  // namespace fused_rankloss
