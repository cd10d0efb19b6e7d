// SPDX-License-Identifier: BSD-3-Clause
//
// The sort of a library, CUB's, behind a declaration: the only thing that kernels of long lists do
// not do themselves. radix_sort.cu is the one file that compiles it.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "cuda/sort_buffers.h"

namespace fused_rankloss {

// Of workspace, for uint32_t and uint64_t keys.
template <typename Key>
size_t radix_sort_bytes(int64_t size);

// Sorts by the lowest `end_bit` bits of the keys, stably. `sorted` says which half holds the
// result.
template <typename Key>
cudaError_t radix_sort(void* workspace, size_t bytes, const SortBuffers<Key>& buffers, int64_t size,
                       int end_bit, cudaStream_t stream, int& sorted);

}  // namespace fused_rankloss
