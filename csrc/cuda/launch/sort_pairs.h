// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "cuda/keyed_values.h"

namespace fused_rankloss {

// Sorts `count` pairs by the lowest `bits` of their keys, stably, from one pair of arrays to
// another. Without a workspace, only finds out how many bytes that takes.
cudaError_t sort_pairs(void* workspace, size_t& workspace_bytes, KeyedValues from, KeyedValues to,
                       int64_t count, int bits, cudaStream_t stream);

}  // namespace fused_rankloss
