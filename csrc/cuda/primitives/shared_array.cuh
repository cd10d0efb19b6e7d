// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <type_traits>

namespace fused_rankloss::cuda {

// A shared-memory array that is read and written by value:
//
//   __shared__ SharedArray<Item, 128> tile;
//
// The host harness (tests/cuda_host) brings a SharedArray of its own, which knows who wrote a cell
// since which barrier; code that goes through this type is checked there for races.
#ifdef __CUDACC__
template <typename T, int kSize>
class SharedArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  __device__ __forceinline__ T load(int index) const { return cells()[index]; }
  __device__ __forceinline__ void store(int index, const T& value) { cells()[index] = value; }

  // For instructions that read or write shared memory themselves (mma.cuh).
  __device__ __forceinline__ const T* address(int index) const { return cells() + index; }

 private:
  __device__ __forceinline__ T* cells() { return reinterpret_cast<T*>(bytes_); }
  __device__ __forceinline__ const T* cells() const { return reinterpret_cast<const T*>(bytes_); }

  // Bytes, since a __shared__ variable must not have a constructor and T may.
  alignas(T) unsigned char bytes_[sizeof(T) * kSize];
};
#endif

}  // namespace fused_rankloss::cuda
