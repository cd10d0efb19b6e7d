// SPDX-License-Identifier: BSD-3-Clause
//
// The shared memory of a list in short.cuh, and its team's sums over all threads.
//
// Cells         A warp has a slice of its own, a block all of them: ListTeam::first_cell.
// Determinism   The bits of a result follow from the list's items alone. Sums are added up thread
// by
//               thread within lanes 0 to 31 first: 32 threads with several rows each have the same
//               order as 256 with one.
#pragma once

#include "cuda/lambda/policy.h"
#include "cuda/lists/shared_sort.cuh"

namespace fused_rankloss::cuda::lambda {

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

template <typename Real>
struct LambdaCells {
  SharedArray<CellItem<Real>, kShortLambda> items;
  CellWords discounts;  // bits of fp64 numbers, as they enter the weights
  CellWords words;      // sort keys; then discounts of ranks, for distances; sums of threads
  SharedArray<CellPlace, kShortLambda> places;
  SharedArray<int, ListTeam::kOwn * kListWarps> counts;
  SharedArray<ListPartial, kListWarps> sums;  // of the block's lists
  ListTeamShared team;
};

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

}  // namespace fused_rankloss::cuda::lambda
