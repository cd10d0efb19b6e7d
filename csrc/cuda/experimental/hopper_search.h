// SPDX-License-Identifier: BSD-3-Clause
//
// The search for hardest pairs with instructions of Hopper (hopper_search.cuh), as an experiment:
// compiled only if the build has FUSED_RANKLOSS_EXPERIMENTAL=1 in its environment, used only if the
// process has FUSED_RANKLOSS_HOPPER=1. It has never run on a GPU, and an error in a kernel with
// mbarriers is more likely to hang than to fail.
//
// Graduates    when the batch-hard rows of 65,536 embeddings of the benchmarks (bf16 of 128 and 512
//              elements, fp32 of 128) take at most 1 / 1.5 of the time of
//              triplet/batch_hard/search.cuh on an H100 or H200, with the same bits and without a
//              hang.
// Is deleted   when a measurement there shows less, or when a release has no measurement.
#pragma once

#include <cstdint>

#include "cuda/triplet/batch_hard/schedule.cuh"

namespace fused_rankloss::cuda {

class DeviceQueue;

namespace triplet {

// ---- Sizes --------------------------------------------------------------------

// 128 rows stay in shared memory. Tiles of 128 columns pass through it in chunks of 64 elements, or
// of 32 with hi and lo terms. Two warpgroups multiply alternately, and a third one copies.
//
// Predictions. The products of a tile with K = 128 take the tensor cores 1,024 cycles. The epilogue
// of its warpgroup, an addition and two maxima per element, takes 650 and overlaps with the
// products of the other warpgroup. The columns take 32 bytes per cycle and multiprocessor, 7 TB/s
// at full rate. That is more than the L2 bandwidth of an H100, which is the limit: 0.9 to 1.2 ms
// for 65,536 rows of 128 bf16 with the symmetric schedule. 128 of a thread's 240 registers are
// accumulators.
inline constexpr int kHopperGroups = 2;
inline constexpr int kHopperStages = 5;     // chunks of columns in flight, 16 KiB each
inline constexpr int kHopperRowChunks = 8;  // chunks of rows: 512 elements, 256 as hi and lo terms
inline constexpr int64_t kHopperSharedBytes = 227 * 1024;  // maximum of a block
inline constexpr int kHopperRegisters = 240;
inline constexpr int kHopperCopyRegisters = 24;

// Threshold in rows, the least number of tiles per block, and the target number of blocks. A
// multiprocessor has one block, which needs enough tiles for two alternating warpgroups.
inline constexpr int64_t kHopperRows = 4096;
inline constexpr int64_t kHopperTilesEach = 4;
inline constexpr int64_t kHopperBlocks = 4 * 132;

// ---- The hook -----------------------------------------------------------------

// Chunks of 128 bytes per row.
FRL_HD constexpr int num_chunks(int num_slices) { return (num_slices + 1) / 2; }

// Whether a block's rows fit into shared memory, and the batch has at least `least_rows` rows.
inline bool hopper_search_fits(const SearchData& data, int64_t least_rows) {
  return num_chunks(data.num_slices) <= kHopperRowChunks && data.anchors.num_rows >= least_rows &&
         data.refs.num_rows >= least_rows;
}

// Launches the search if it is enabled, possible and large enough; returns whether it did.
bool launch_hopper_search(DeviceQueue& queue, SearchParams& search);

}  // namespace triplet
}  // namespace fused_rankloss::cuda
