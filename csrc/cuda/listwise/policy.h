// SPDX-License-Identifier: BSD-3-Clause
//
// Tile choices of the listwise losses as data. None of them is measured yet, see policy.h.
#pragma once

#include "args/listwise.h"
#include "cuda/lists/policy.h"

namespace fused_rankloss::cuda::listwise {

// Lists of up to kBlockListItems slots are short: a warp's with up to kWarpListItems of them, else
// a block's. A thread has so many consecutive items of either.
inline constexpr int kListwiseRun = kWarpListItems / kWarpSize;
static_assert(kListwiseRun * kListWarps * kWarpSize == kBlockListItems);

// Blocks a multiprocessor that the compiler must leave registers for: 128 a thread.
inline constexpr int kListwiseBlocks = 2;

// Soft ranks take more: exponential_scan.cuh keeps a run's numbers in them.
template <ListwiseLoss kLoss>
inline constexpr int kLongListwiseBlocks = kLoss == ListwiseLoss::kApproxNdcg ? 1 : kListwiseBlocks;

}  // namespace fused_rankloss::cuda::listwise
