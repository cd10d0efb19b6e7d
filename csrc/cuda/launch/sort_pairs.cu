// SPDX-License-Identifier: BSD-3-Clause
//
// CUB's radix sort in a file of its own: it takes longer to compile than all other kernels.
#include <cub/device/device_radix_sort.cuh>

#include "cuda/sort_pairs.h"

namespace fused_rankloss {

cudaError_t sort_pairs(void* workspace, size_t& workspace_bytes, KeyedValues from, KeyedValues to,
                       int64_t count, int bits, cudaStream_t stream) {
  return cub::DeviceRadixSort::SortPairs(workspace, workspace_bytes, from.keys, to.keys,
                                         from.values, to.values, static_cast<int>(count), 0, bits,
                                         stream);
}

}  // namespace fused_rankloss
