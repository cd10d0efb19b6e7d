// SPDX-License-Identifier: BSD-3-Clause
//
// Tuned sizes of the listwise losses, as data. None of them is measured yet, see lists/policy.h.
#pragma once

#include "args/listwise.h"
#include "cuda/lists/policy.h"

namespace fused_rankloss::cuda::listwise {

// Lists of up to kBlockListItems slots are short. One warp solves a list of up to kWarpListItems
// slots, one block a longer list. Either way each thread has kListwiseRun consecutive items.
inline constexpr int kListwiseRun = kWarpListItems / kWarpSize;
static_assert(kListwiseRun * kListWarps * kWarpSize == kBlockListItems);

// minBlocksPerMultiprocessor of __launch_bounds__: leaves 128 registers per thread.
inline constexpr int kListwiseBlocks = 2;

// Soft ranks need more registers: exponential_scan.cuh keeps the data of a run in them.
template <ListwiseLoss kLoss>
inline constexpr int kLongListwiseBlocks = kLoss == ListwiseLoss::kApproxNdcg ? 1 : kListwiseBlocks;

}  // namespace fused_rankloss::cuda::listwise
