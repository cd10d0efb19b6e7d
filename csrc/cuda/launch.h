// SPDX-License-Identifier: BSD-3-Clause
//
// What every launcher does around its kernel: the stream, and errors that say what to do.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "common/torch.h"
#include "cuda/device_facts.h"
#include "cuda/sort_pairs.h"

namespace fused_rankloss {

inline const char* cuda_remedy(cudaError_t error) {
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
      return "; rebuild fused_rankloss with TORCH_CUDA_ARCH_LIST set to this GPU's architecture";
    case cudaErrorInsufficientDriver:
      return "; update the NVIDIA driver, or rebuild fused_rankloss with an older CUDA toolkit";
    default:
      return "";
  }
}

inline void check_cuda(cudaError_t error, std::string_view op) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(op) + ": CUDA error: " + cudaGetErrorString(error) +
                           cuda_remedy(error));
}

// The device and stream that an op works on. Made once the arguments are known to be on one CUDA
// device, and kept until the last launch.
class LaunchScope {
 public:
  LaunchScope(const Tensor& tensor, std::string_view op)
      : device_(tensor.get_device_index()), guard_(device_), op_(op) {
    void* stream = nullptr;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device_, &stream));
    stream_ = static_cast<cudaStream_t>(stream);
    // An error that is there before anything was launched is somebody else's: it is reported as
    // that, and left for them to see.
    const cudaError_t earlier = cudaPeekAtLastError();
    if (earlier != cudaSuccess) {
      throw std::runtime_error(
          op_ + ": an earlier CUDA call had already failed: " + cudaGetErrorString(earlier));
    }
  }

  cudaStream_t stream() const { return stream_; }
  const std::string& op() const { return op_; }

  // Whether the GPU has so few fp64 units that fp32 instructions are to take their place: 1 to 2 of
  // fp32's rate on the big GPUs, 1 to 32 or 64 on the others.
  bool slow_double() const {
    return device_attribute(cudaDevAttrSingleToDoublePrecisionPerfRatio) > 8;
  }

  // Whether it runs what is compiled for sm_90a.
  bool is_hopper() const {
    return device_attribute(cudaDevAttrComputeCapabilityMajor) == 9 &&
           device_attribute(cudaDevAttrComputeCapabilityMinor) == 0;
  }

  // How many blocks of a kernel the device holds at once, with so much dynamic shared memory each.
  // The kernel may be launched with it from then on.
  int64_t resident_blocks(const void* kernel, int threads, int64_t shared_bytes = 0) const {
    static DeviceFacts<std::pair<const void*, int64_t>> facts;
    return facts.get({kernel, shared_bytes}, device_, [&] {
      constexpr int64_t kAnyone = 48 * 1024;  // may have so much without being asked
      if (shared_bytes > kAnyone) {
        check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        static_cast<int>(shared_bytes)),
                   op_);
      }
      int blocks_each = 0;
      check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks_each, kernel, threads,
                                                               static_cast<size_t>(shared_bytes)),
                 op_);
      return device_attribute(cudaDevAttrMultiProcessorCount) * blocks_each;
    });
  }

  int64_t shared_bytes_of_block() const {
    return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  }
  int64_t shared_bytes_of_multiprocessor() const {
    return device_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  }

  // grid.x for so many blocks.
  unsigned grid(int64_t blocks) const {
    check(blocks <= INT32_MAX, op_, ": expected work for at most ", INT32_MAX,
          " thread blocks, got ", blocks);
    return static_cast<unsigned>(blocks);
  }

  // Call after each launch.
  void check_launch() const { check_cuda(cudaGetLastError(), op_); }

 private:
  int64_t device_attribute(cudaDeviceAttr attribute) const {
    static DeviceFacts<cudaDeviceAttr> facts;
    return facts.get(attribute, device_, [&] {
      int value = 0;
      check_cuda(cudaDeviceGetAttribute(&value, attribute, device_), op_);
      return value;
    });
  }

  int device_;
  torch::stable::accelerator::DeviceGuard guard_;
  std::string op_;
  cudaStream_t stream_ = nullptr;
};

// Work for one stream, in order: what ops of several kernels hand to the function that knows their
// sequence. Nothing waits for the device, so that a CUDA graph can record all of it.
class DeviceQueue {
 public:
  DeviceQueue(const Tensor& like, std::string_view op) : scope_(like, op), like_(like), op_(op) {}

  const std::string& op() const { return op_; }
  bool is_hopper() const { return scope_.is_hopper(); }

  // Uninitialised memory that lives as long as the queue; the caching allocator gives it to later
  // work of the same stream only.
  template <typename T>
  T* allocate(int64_t count) {
    const int64_t bytes = std::max<int64_t>(1, count) * static_cast<int64_t>(sizeof(T));
    memory_.push_back(new_tensor(like_, {bytes}, ScalarType::Byte));
    return reinterpret_cast<T*>(memory_.back().mutable_data_ptr());
  }

  template <typename T>
  void zero(T* values, int64_t count) {
    check_cuda(cudaMemsetAsync(values, 0, count * sizeof(T), scope_.stream()), op_);
  }

  template <typename... Parameters, typename... Arguments>
  void launch(int64_t blocks, int threads, void (*kernel)(Parameters...),
              const Arguments&... arguments) {
    if (blocks == 0) return;
    kernel<<<scope_.grid(blocks), threads, 0, scope_.stream()>>>(arguments...);
    scope_.check_launch();
  }

  // Clusters of blocks, with so many bytes of dynamic shared memory a block: more than a kernel has
  // unasked.
  template <typename Parameter>
  void launch_clusters(int64_t clusters, int blocks_each, int threads, int64_t bytes,
                       void (*kernel)(Parameter), const std::remove_cv_t<Parameter>& argument) {
    if (clusters == 0) return;
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(bytes)),
               op_);
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {static_cast<unsigned>(blocks_each), 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(scope_.grid(clusters * blocks_each));
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = static_cast<size_t>(bytes);
    config.stream = scope_.stream();
    config.attrs = &attribute;
    config.numAttrs = 1;
    check_cuda(cudaLaunchKernelEx(&config, kernel, argument), op_);
    scope_.check_launch();
  }

  void sort(KeyedValues from, KeyedValues to, int64_t count, int bits) {
    size_t bytes = 0;
    check_cuda(sort_pairs(nullptr, bytes, from, to, count, bits, scope_.stream()), op_);
    void* workspace = allocate<char>(static_cast<int64_t>(bytes));
    check_cuda(sort_pairs(workspace, bytes, from, to, count, bits, scope_.stream()), op_);
  }

 private:
  LaunchScope scope_;
  const Tensor& like_;
  std::string op_;
  std::vector<Tensor> memory_;
};

}  // namespace fused_rankloss
