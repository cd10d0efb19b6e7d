// SPDX-License-Identifier: BSD-3-Clause
//
// Declarations for CUB's radix sort, the only library kernel of this project. Only sort.cu compiles
// it, since that takes longer than compiling all other kernels.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "cuda/launch/sort_arrays.h"

namespace fused_rankloss::cuda {

// Sorts `count` pairs by the lowest `bits` of their keys, stably, from one pair of arrays to
// another. If `workspace` is null, only sets `workspace_bytes` to the size that it needs.
cudaError_t sort_pairs(void* workspace, size_t& workspace_bytes, KeyedValues from, KeyedValues to,
                       int64_t count, int bits, cudaStream_t stream);

// The same within the double buffer `buffers`, for uint32_t and uint64_t keys. Sets `sorted` to the
// index (0 or 1) of the arrays that hold the result.
template <typename Key>
cudaError_t sort_pairs(void* workspace, size_t& workspace_bytes, const SortBuffers<Key>& buffers,
                       int64_t count, int bits, cudaStream_t stream, int& sorted);

}  // namespace fused_rankloss::cuda
