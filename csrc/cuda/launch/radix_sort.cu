// SPDX-License-Identifier: BSD-3-Clause
#include <cub/device/device_radix_sort.cuh>

#include "cuda/radix_sort.h"

namespace fused_rankloss {

template <typename Key>
size_t radix_sort_bytes(int64_t size) {
  cub::DoubleBuffer<Key> keys;
  cub::DoubleBuffer<uint32_t> values;
  size_t bytes = 0;  // without a workspace, CUB says how much it needs
  cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, values, static_cast<uint32_t>(size));
  return bytes;
}

template <typename Key>
cudaError_t radix_sort(void* workspace, size_t bytes, const SortBuffers<Key>& buffers, int64_t size,
                       int end_bit, cudaStream_t stream, int& sorted) {
  cub::DoubleBuffer<Key> keys(buffers.keys[0], buffers.keys[1]);
  cub::DoubleBuffer<uint32_t> values(buffers.values[0], buffers.values[1]);
  const cudaError_t error = cub::DeviceRadixSort::SortPairs(
      workspace, bytes, keys, values, static_cast<uint32_t>(size), 0, end_bit, stream);
  sorted = keys.selector;
  return error;
}

template size_t radix_sort_bytes<uint32_t>(int64_t);
template size_t radix_sort_bytes<uint64_t>(int64_t);
template cudaError_t radix_sort<uint32_t>(void*, size_t, const SortBuffers<uint32_t>&, int64_t, int,
                                          cudaStream_t, int&);
template cudaError_t radix_sort<uint64_t>(void*, size_t, const SortBuffers<uint64_t>&, int64_t, int,
                                          cudaStream_t, int&);

}  // namespace fused_rankloss
