// SPDX-License-Identifier: BSD-3-Clause
#include <cub/device/device_radix_sort.cuh>

#include "cuda/launch/sort.h"

namespace fused_rankloss::cuda {

cudaError_t sort_pairs(void* workspace, size_t& workspace_bytes, KeyedValues from, KeyedValues to,
                       int64_t count, int bits, cudaStream_t stream) {
  return cub::DeviceRadixSort::SortPairs(workspace, workspace_bytes, from.keys, to.keys,
                                         from.values, to.values, static_cast<int>(count), 0, bits,
                                         stream);
}

template <typename Key>
cudaError_t sort_pairs(void* workspace, size_t& workspace_bytes, const SortBuffers<Key>& buffers,
                       int64_t count, int bits, cudaStream_t stream, int& sorted) {
  cub::DoubleBuffer<Key> keys(buffers.keys[0], buffers.keys[1]);
  cub::DoubleBuffer<uint32_t> values(buffers.values[0], buffers.values[1]);
  const cudaError_t error = cub::DeviceRadixSort::SortPairs(
      workspace, workspace_bytes, keys, values, static_cast<uint32_t>(count), 0, bits, stream);
  sorted = keys.selector;
  return error;
}

template cudaError_t sort_pairs(void*, size_t&, const SortBuffers<uint32_t>&, int64_t, int,
                                cudaStream_t, int&);
template cudaError_t sort_pairs(void*, size_t&, const SortBuffers<uint64_t>&, int64_t, int,
                                cudaStream_t, int&);

}  // namespace fused_rankloss::cuda
