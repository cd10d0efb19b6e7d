// SPDX-License-Identifier: BSD-3-Clause
//
// The queue that kernels are launched through: the stream, workspaces, and errors that say what to
// do.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "bind/torch.h"
#include "common/workspace.h"
#include "cuda/launch/device_facts.h"
#include "cuda/launch/sort.h"

namespace fused_rankloss::cuda {

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

// Work for one stream, in order. The functions that know the kernels of a family and their sequence
// are templates over it, run_<family>(Queue&, args), so that tests run them with a queue of their
// own (tests/cuda_host/harness/host_queue.h). Each is compiled in one .cu file, by explicit
// instantiation. Nothing waits for the device, so that a CUDA graph can record all of it.
class DeviceQueue {
 public:
  // Made once the arguments of an op are known to be on one CUDA device, and kept until the last
  // launch.
  DeviceQueue(const Tensor& like, std::string_view op)
      : like_(like), op_(op), device_(like.get_device_index()), guard_(device_) {
    void* stream = nullptr;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device_, &stream));
    stream_ = static_cast<cudaStream_t>(stream);
    (void)cudaGetLastError();  // what an earlier call left is not this call's error
  }

  const std::string& op() const { return op_; }

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
    check(cudaMemsetAsync(values, 0, count * sizeof(T), stream_));
  }

  // ---- Launches ------------------------------------------------------------

  template <typename... Parameters, typename... Arguments>
  void launch(int64_t blocks, int threads, void (*kernel)(Parameters...),
              const Arguments&... arguments) {
    if (blocks == 0) return;
    kernel<<<grid(blocks), threads, 0, stream_>>>(arguments...);
    check(cudaGetLastError());
  }

  // The same with so many bytes of dynamic shared memory for each block: more than 48 KB as well.
  template <typename Parameter>
  void launch_with_memory(int64_t blocks, int threads, int64_t shared_bytes,
                          void (*kernel)(Parameter), const std::remove_cv_t<Parameter>& argument) {
    if (blocks == 0) return;
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)));
    kernel<<<grid(blocks), threads, static_cast<size_t>(shared_bytes), stream_>>>(argument);
    check(cudaGetLastError());
  }

  // At most as many blocks as run side by side: for kernels whose blocks share out work of any
  // size.
  template <typename Parameter>
  void launch_resident(int64_t most_blocks, int threads, void (*kernel)(Parameter),
                       const std::remove_cv_t<Parameter>& argument) {
    launch(std::min(most_blocks, resident_blocks(kernel, threads)), threads, kernel, argument);
  }

  // The same, and the blocks may wait for each other (primitives/grid.cuh).
  template <typename Parameter>
  void launch_together(int64_t most_blocks, int threads, void (*kernel)(Parameter),
                       const std::remove_cv_t<Parameter>& argument) {
    if (most_blocks == 0) return;
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(grid(std::min(most_blocks, resident_blocks(kernel, threads))));
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.stream = stream_;
    config.attrs = &attribute;
    config.numAttrs = 1;
    check(cudaLaunchKernelEx(&config, kernel, argument));
    check(cudaGetLastError());
  }

  // ---- Sorts, by CUB -------------------------------------------------------

  // By the lowest `bits` of the keys, stably, from one pair of arrays to another.
  void sort(KeyedValues from, KeyedValues to, int64_t count, int bits) {
    size_t bytes = 0;
    check(sort_pairs(nullptr, bytes, from, to, count, bits, stream_));
    void* workspace = sort_workspace(bytes);
    check(sort_pairs(workspace, bytes, from, to, count, bits, stream_));
  }

  // The same within two halves. Returns the half that holds the result.
  template <typename Key>
  int sort(const SortBuffers<Key>& buffers, int64_t count, int bits) {
    size_t bytes = 0;
    int sorted = 0;
    check(sort_pairs(nullptr, bytes, buffers, count, bits, stream_, sorted));
    void* workspace = sort_workspace(bytes);
    check(sort_pairs(workspace, bytes, buffers, count, bits, stream_, sorted));
    return sorted;
  }

 private:
  void check(cudaError_t error) const { check_cuda(error, op_); }

  // grid.x for so many blocks.
  unsigned grid(int64_t blocks) const {
    fused_rankloss::check(blocks <= INT32_MAX, op_, ": expected work for at most ", INT32_MAX,
                          " thread blocks, got ", blocks);
    return static_cast<unsigned>(blocks);
  }

  // How many blocks of a kernel the device holds at once.
  template <typename Parameter>
  int64_t resident_blocks(void (*kernel)(Parameter), int threads) const {
    static DeviceFacts<std::pair<const void*, int>> facts;
    const void* const address = reinterpret_cast<const void*>(kernel);
    return facts.get({address, threads}, device_, [&] {
      int multiprocessors = 0, blocks_each = 0;
      check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device_));
      check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks_each, kernel, threads, 0));
      return int64_t{multiprocessors} * blocks_each;
    });
  }

  // One sort follows the other: they share their workspace.
  void* sort_workspace(size_t bytes) {
    if (sort_workspace_ == nullptr || bytes > sort_bytes_) {
      sort_workspace_ = allocate<char>(static_cast<int64_t>(bytes));
      sort_bytes_ = bytes;
    }
    return sort_workspace_;
  }

  const Tensor& like_;
  std::string op_;
  int device_;
  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_ = nullptr;
  std::vector<Tensor> memory_;
  void* sort_workspace_ = nullptr;
  size_t sort_bytes_ = 0;
};

}  // namespace fused_rankloss::cuda
