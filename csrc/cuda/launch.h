// SPDX-License-Identifier: BSD-3-Clause
//
// What every launcher does around its kernel: the stream, and errors that say what to do.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <algorithm>
#include <tuple>
#include <type_traits>
#include <vector>

#include "common/torch.h"
#include "cuda/device_facts.h"
#include "cuda/radix_sort.h"
#include "cuda/sort_pairs.h"
#include "cuda/workspace.h"

namespace fused_rankloss {

inline const char* cuda_remedy(cudaError_t error) {
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
      return "; rebuild fused_rankloss with TORCH_CUDA_ARCH_LIST set to this GPU's compute "
             "capability, which has to be 7.5 or newer";
    case cudaErrorInsufficientDriver:
      return "; update the NVIDIA driver, or rebuild fused_rankloss with an older CUDA toolkit";
    default:
      return "";
  }
}

inline void check_cuda(cudaError_t error, std::string_view op) {
  if (error == cudaSuccess) return;
  // The runtime keeps an error until it is asked for it. This cudart is linked statically, so it is
  // asked here or never, and every later launch of the thread would report this error again. An
  // error that has broken the context comes back by itself.
  (void)cudaGetLastError();
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
    (void)cudaGetLastError();  // what an earlier call left is not this call's error
  }

  cudaStream_t stream() const { return stream_; }
  const std::string& op() const { return op_; }

  // How many blocks of a kernel the device holds at once, with so much dynamic shared memory each.
  // The kernel may be launched with it from then on.
  int64_t resident_blocks(const void* kernel, int threads, int64_t shared_bytes = 0) const {
    static DeviceFacts<std::tuple<const void*, int, int64_t>> facts;
    return facts.get({kernel, threads, shared_bytes}, device_, [&] {
      allow_shared_bytes(kernel, shared_bytes);
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
  // A kernel that was allowed more before keeps that.
  void allow_shared_bytes(const void* kernel, int64_t bytes) const {
    constexpr int64_t kAlways = 48 * 1024;  // needs no permission
    if (bytes <= kAlways) return;
    cudaFuncAttributes allowed{};
    check_cuda(cudaFuncGetAttributes(&allowed, kernel), op_);
    if (allowed.maxDynamicSharedSizeBytes >= bytes) return;
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(bytes)),
               op_);
  }

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

// Up to `most_blocks` blocks, and no more than run side by side.
template <typename Parameter>
void launch_cooperative(const LaunchScope& scope, void (*kernel)(Parameter), int64_t most_blocks,
                        int threads, const std::remove_cv_t<Parameter>& argument) {
  const void* address = reinterpret_cast<const void*>(kernel);
  const int64_t blocks = std::min(most_blocks, scope.resident_blocks(address, threads));
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(scope.grid(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = scope.stream();
  config.attrs = &attribute;
  config.numAttrs = 1;
  check_cuda(cudaLaunchKernelEx(&config, kernel, argument), scope.op());
  scope.check_launch();
}

// Work for one stream, in order. The functions that know the kernels of a family and their sequence
// are templates over it, run_<family>(Queue&, args), so that tests run them with a queue of their
// own (tests/cuda_host/host_queue.h). Each is compiled in one .cu file, by explicit instantiation.
// Nothing waits for the device, so that a CUDA graph can record all of it.
class DeviceQueue {
 public:
  DeviceQueue(const Tensor& like, std::string_view op) : scope_(like, op), like_(like), op_(op) {}

  const std::string& op() const { return op_; }

  // ---- The device ----------------------------------------------------------

  int64_t shared_bytes_of_block() const { return scope_.shared_bytes_of_block(); }
  int64_t shared_bytes_of_multiprocessor() const { return scope_.shared_bytes_of_multiprocessor(); }

  // ---- Memory --------------------------------------------------------------

  // Uninitialised memory that lives as long as the queue; the caching allocator gives it to later
  // work of the same stream only.
  template <typename T>
  T* allocate(int64_t count) {
    const int64_t bytes = std::max<int64_t>(1, count) * static_cast<int64_t>(sizeof(T));
    memory_.push_back(new_tensor(like_, {bytes}, ScalarType::Byte));
    return reinterpret_cast<T*>(memory_.back().mutable_data_ptr());
  }

  // What `lay_out(workspace)` returns, with the arrays that it takes in one allocation. It is
  // called twice, the first time for the size alone.
  template <class LayOut>
  auto workspace(LayOut&& lay_out) {
    Workspace sizes(nullptr);
    lay_out(sizes);
    Workspace memory(allocate<char>(sizes.bytes()));
    return lay_out(memory);
  }

  template <typename T>
  void zero(T* values, int64_t count) {
    if (count == 0) return;
    check_cuda(cudaMemsetAsync(values, 0, count * sizeof(T), scope_.stream()), op_);
  }

  // ---- Launches ------------------------------------------------------------

  template <typename... Parameters, typename... Arguments>
  void launch(int64_t blocks, int threads, void (*kernel)(Parameters...),
              const Arguments&... arguments) {
    if (blocks == 0) return;
    kernel<<<scope_.grid(blocks), threads, 0, scope_.stream()>>>(arguments...);
    scope_.check_launch();
  }

  // At most as many blocks as run side by side, each with so many bytes of dynamic shared memory:
  // for kernels whose blocks share out work of any size.
  template <typename Parameter>
  void launch_resident(int64_t most_blocks, int threads, int64_t shared_bytes,
                       void (*kernel)(Parameter), const std::remove_cv_t<Parameter>& argument) {
    if (most_blocks == 0) return;
    const int64_t blocks = std::min(most_blocks, resident_blocks(kernel, threads, shared_bytes));
    kernel<<<scope_.grid(blocks), threads, static_cast<size_t>(shared_bytes), scope_.stream()>>>(
        argument);
    scope_.check_launch();
  }

  // The same, and the blocks may wait for each other (team.cuh).
  template <typename Parameter>
  void launch_together(int64_t most_blocks, int threads, void (*kernel)(Parameter),
                       const std::remove_cv_t<Parameter>& argument) {
    if (most_blocks == 0) return;
    launch_cooperative(scope_, kernel, most_blocks, threads, argument);
  }

  // A block for each index, with so many bytes of dynamic shared memory.
  template <typename Parameter>
  void launch_with_memory(int64_t blocks, int threads, int64_t shared_bytes,
                          void (*kernel)(Parameter), const std::remove_cv_t<Parameter>& argument) {
    if (blocks == 0) return;
    resident_blocks(kernel, threads, shared_bytes);  // allows the kernel so many bytes
    kernel<<<scope_.grid(blocks), threads, static_cast<size_t>(shared_bytes), scope_.stream()>>>(
        argument);
    scope_.check_launch();
  }

  // ---- Sorts, by CUB ---------------------------------------------------------

  // By the lowest `bits` of the keys, stably, from one pair of arrays to another.
  void sort(KeyedValues from, KeyedValues to, int64_t count, int bits) {
    size_t bytes = 0;
    check_cuda(sort_pairs(nullptr, bytes, from, to, count, bits, scope_.stream()), op_);
    void* workspace = sort_workspace(bytes);
    check_cuda(sort_pairs(workspace, bytes, from, to, count, bits, scope_.stream()), op_);
  }

  // The same within two halves. Returns the half that holds the result.
  template <typename Key>
  int sort(const SortBuffers<Key>& buffers, int64_t count, int bits) {
    const size_t bytes = radix_sort_bytes<Key>(count);
    void* workspace = sort_workspace(bytes);
    int sorted = 0;
    check_cuda(radix_sort(workspace, bytes, buffers, count, bits, scope_.stream(), sorted), op_);
    return sorted;
  }

 private:
  template <typename Parameter>
  int64_t resident_blocks(void (*kernel)(Parameter), int threads, int64_t shared_bytes) const {
    return scope_.resident_blocks(reinterpret_cast<const void*>(kernel), threads, shared_bytes);
  }

  // One sort follows the other: they share their workspace.
  void* sort_workspace(size_t bytes) {
    if (sort_workspace_ == nullptr || bytes > sort_bytes_) {
      sort_workspace_ = allocate<char>(static_cast<int64_t>(bytes));
      sort_bytes_ = bytes;
    }
    return sort_workspace_;
  }

  LaunchScope scope_;
  const Tensor& like_;
  std::string op_;
  std::vector<Tensor> memory_;
  void* sort_workspace_ = nullptr;
  size_t sort_bytes_ = 0;
};

}  // namespace fused_rankloss
