// SPDX-License-Identifier: BSD-3-Clause
//
// The threads that share a short list, a warp or a block, with what the listwise losses need of
// them beyond lists/warp_or_block.cuh. All threads of a team call each function.
#pragma once

#include "cuda/lists/warp_or_block.cuh"
#include "cuda/listwise/policy.h"
#include "cuda/primitives/block_scan.cuh"

namespace fused_rankloss::cuda::listwise {

class ListwiseTeam : public ListTeam {
 public:
  using ListTeam::ListTeam;

  // The total of a warp comes in the same order as that of a block whose other warps have nothing.
  template <Sweep kSweep, typename State>
  __device__ __forceinline__ Scanned<State> scan(ScanShared<State, kBlockThreads>& shared,
                                                 const State& own) const {
    if (is_block()) return scan_block<kSweep, kBlockThreads>(shared, own);
    const Scanned<State> scanned = scan_warp<kSweep>(own);
    constexpr int kLast = kSweep == Sweep::kUp ? kWarpSize - 1 : 0;
    return {scanned.before, scanned.total.shuffled(
                                [](auto value) { return __shfl_sync(kAllLanes, value, kLast); })};
  }

  // The team's cells of an array for a block.
  __device__ __forceinline__ int cell(int index) const { return first_cell() + index; }
};

}  // namespace fused_rankloss::cuda::listwise
