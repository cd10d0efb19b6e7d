// SPDX-License-Identifier: BSD-3-Clause
//
// When a GPU searches with the kernel of hopper_search.cuh, which only hopper_search.cu compiles.
#pragma once

#include <cstdint>
#include <limits>

#include "cuda/search_data.cuh"
#include "cuda/triplet_policy.h"

namespace fused_rankloss {

class DeviceQueue;
struct SearchParams;

inline constexpr int64_t kNoHopperRows = std::numeric_limits<int64_t>::max();

// Chunks of 128 bytes that a row has.
FRL_HD constexpr int num_chunks(int num_slabs) { return (num_slabs + 1) / 2; }

// Whether an operand's rows can stay in shared memory.
inline bool hopper_search_fits(const SearchData& data) {
  return num_chunks(data.num_slabs) <= kHopperRowChunks;
}

// Rows of a batch from which on the queue's GPU takes it.
int64_t hopper_search_rows(const DeviceQueue& queue);

void launch_hopper_search(DeviceQueue& queue, const SearchParams& search);

}  // namespace fused_rankloss
