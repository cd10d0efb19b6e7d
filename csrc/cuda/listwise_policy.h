// SPDX-License-Identifier: BSD-3-Clause
//
// Tile choices of the listwise losses as data. None of them is measured yet, see policy.h.
#pragma once

#include "cuda/policy.h"

namespace fused_rankloss {

// Lists of up to kBlockListItems slots are short: a warp's with up to kWarpListItems of them, else
// a block's. A thread has so many consecutive items of either.
inline constexpr int kListwiseRun = kWarpListItems / kWarpSize;
static_assert(kListwiseRun * kListWarps * kWarpSize == kBlockListItems);

// Blocks a multiprocessor that the compiler must leave registers for: 128 a thread.
inline constexpr int kListwiseBlocks = 2;

// Rows of a long list that a block compares with all columns, a thread a row: few, so that one list
// of 10,000 already fills 40 multiprocessors. Columns pass through shared memory, 16 bytes each.
inline constexpr int kSoftRankRows = kScanThreads;
inline constexpr int kSoftRankColumns = 1024;

}  // namespace fused_rankloss
