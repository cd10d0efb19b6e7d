// SPDX-License-Identifier: BSD-3-Clause
//
// CUB's radix sort behind declarations: the only thing that no kernel of this project does itself.
// sort.cu is the one file that compiles it, since it takes longer than all other kernels.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "cuda/launch/sort_arrays.h"

namespace fused_rankloss::cuda {

// Sorts `count` pairs by the lowest `bits` of their keys, stably, from one pair of arrays to
// another. Without a workspace, only finds out how many bytes that takes.
cudaError_t sort_pairs(void* workspace, size_t& workspace_bytes, KeyedValues from, KeyedValues to,
                       int64_t count, int bits, cudaStream_t stream);

// The same within the two halves of `buffers`, for uint32_t and uint64_t keys. `sorted` says which
// half holds the result.
template <typename Key>
cudaError_t sort_pairs(void* workspace, size_t& workspace_bytes, const SortBuffers<Key>& buffers,
                       int64_t count, int bits, cudaStream_t stream, int& sorted);

}  // namespace fused_rankloss::cuda
