// SPDX-License-Identifier: BSD-3-Clause
//
// The search for hardest pairs with what Hopper alone has (hopper_search.cuh), as an experiment:
// compiled only where the build's environment has FUSED_RANKLOSS_EXPERIMENTAL=1, and taken only
// where that of the process has FUSED_RANKLOSS_HOPPER=1. It has never run on a GPU, and a kernel of
// barriers in memory that is wrong hangs rather than fails.
//
// Graduates    once the batch-hard rows of 65,536 embeddings of the benchmarks (bf16 of 128 and 512
//              numbers, fp32 of 128) take at most 1 / 1.5 of the time of
//              triplet/batch_hard/search.cuh on an H100 or H200, with the same bits and without a
//              hang.
// Is deleted   once they were measured there and do not, or a release comes without a measurement.
#pragma once

#include <cstdint>

#include "cuda/triplet/batch_hard/schedule.cuh"

namespace fused_rankloss::cuda {

class DeviceQueue;

namespace triplet {

// ---- Sizes --------------------------------------------------------------------

// 128 rows that stay in shared memory meet tiles of 128 columns, which pass through it in chunks of
// 64 numbers, or of 32 in two pieces. Two warpgroups multiply, by turns, and one copies.
//
// Predictions. The products of a tile of 128 numbers take the tensor cores 1,024 cycles; what its
// warpgroup does beside them, an addition and two maxima an element, takes 650 and runs behind the
// other's products. The columns are 32 bytes a cycle and multiprocessor, at full rate 7 TB/s, more
// than the second-level cache of an H100 has to give, which is the limit: 0.9 to 1.2 ms for 65,536
// rows of 128 bf16, half a band. 128 accumulators of the 240 registers of a thread.
inline constexpr int kHopperGroups = 2;
inline constexpr int kHopperStages = 5;     // chunks of columns in flight, 16 KiB each
inline constexpr int kHopperRowChunks = 8;  // that fit beside them: 512 numbers, 256 of two pieces
inline constexpr int64_t kHopperSharedBytes = 227 * 1024;  // that a block can have in all
inline constexpr int kHopperRegisters = 240;
inline constexpr int kHopperCopyRegisters = 24;

// From so many rows on. A multiprocessor has one block, which is to have tiles enough for turns.
inline constexpr int64_t kHopperRows = 4096;
inline constexpr int64_t kHopperTilesEach = 4;
inline constexpr int64_t kHopperBlocks = 4 * 132;

// ---- The hook -----------------------------------------------------------------

// Chunks of 128 bytes that a row has.
FRL_HD constexpr int num_chunks(int num_slabs) { return (num_slabs + 1) / 2; }

// Whether the rows of a batch can stay in shared memory, and are `least_rows` or more.
inline bool hopper_search_fits(const SearchData& data, int64_t least_rows) {
  return num_chunks(data.num_slabs) <= kHopperRowChunks && data.anchors.num_rows >= least_rows &&
         data.refs.num_rows >= least_rows;
}

// Searches, where this is wanted, possible and worth it, and returns whether it did.
bool launch_hopper_search(DeviceQueue& queue, SearchParams& search);

}  // namespace triplet
}  // namespace fused_rankloss::cuda
