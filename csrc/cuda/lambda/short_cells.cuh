// SPDX-License-Identifier: BSD-3-Clause
//
// The shared memory of a list in short.cuh, and sums over all threads of a group.
//
// Cells         Each warp has its own slice of the cells, a block has all (WarpOrBlock::first_cell)
// Determinism   The bits of a result depend only on the list's items. Each lane first sums the
//               threads with its lane index: 32 threads with several rows each add in the same
//               order as 256 threads with one row.
#pragma once

#include "cuda/lambda/policy.h"
#include "cuda/lists/shared_sort.cuh"

namespace fused_rankloss::cuda::lambda {

// Slot, rank and grade of the item in a cell.
struct CellPlace {
  uint32_t slot : 10;   // relative to the list's first slot
  uint32_t rank : 10;   // from 0
  uint32_t grade : 10;  // the grade, as the number of the list's items with lower labels
};
static_assert(kShortLambda <= 1024, "a CellPlace holds 10 bits of a slot");

// The data of a column, except its discount.
template <typename Real>
struct alignas(sizeof(Real) == 4 ? 16 : 8) CellItem {
  Real score;
  Real weight;
  double gain;
};

template <typename Real>
struct LambdaCells {
  SharedArray<CellItem<Real>, kShortLambda> items;
  CellWords discounts;  // fp64 bits, as in the weights
  CellWords words;      // sort keys; then discounts by rank, for RankDistanceWeight; thread sums
  SharedArray<CellPlace, kShortLambda> places;
  SharedArray<int, WarpOrBlock::kOwn * kListWarps> counts;
  SharedArray<ListPartial, kListWarps> sums;  // of the block's lists
  WarpOrBlockShared group;
};

// ---- Sums ------------------------------------------------------------------

struct GroupSums {
  double value = 0;
  double slope = 0;
  double pairs = 0;

  __device__ __forceinline__ void add(const GroupSums& other) {
    value += other.value;
    slope += other.slope;
    pairs += other.pairs;
  }
};

// Each lane gets the sum over its aligned segment of `lanes` lanes.
__device__ __forceinline__ GroupSums sum_of_lanes(GroupSums sums, int lanes) {
#pragma unroll 1
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    sums.add({__shfl_xor_sync(kAllLanes, sums.value, distance),
              __shfl_xor_sync(kAllLanes, sums.slope, distance),
              __shfl_xor_sync(kAllLanes, sums.pairs, distance)});
  }
  return sums;
}

// All threads of the group get the sum over the group. Overwrites a block's words, between
// barriers.
__device__ __forceinline__ GroupSums sum_of_group(const WarpOrBlock& group, CellWords& words,
                                                  GroupSums sums) {
  constexpr int kThreads = WarpOrBlock::kBlockThreads;
  static_assert(3 * kThreads <= kShortLambda, "sums of all threads fit the words");
  group.sync();
  if (group.is_block()) {
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
