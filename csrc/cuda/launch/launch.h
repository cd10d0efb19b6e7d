// SPDX-License-Identifier: BSD-3-Clause
//
// The queue that launches kernels: stream, workspaces, and error messages that name a remedy.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "bind/torch.h"
#include "common/workspace.h"
#include "cuda/launch/device_attributes.h"
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
  // The runtime keeps an error until cudaGetLastError reads it. This cudart is linked statically,
  // so only this call can clear it; otherwise every later launch of the thread would report it
  // again. An error that has broken the context is sticky and comes back by itself.
  (void)cudaGetLastError();
  throw std::runtime_error(std::string(op) + ": CUDA error: " + cudaGetErrorString(error) +
                           cuda_remedy(error));
}

// Work for one stream, in order. The functions run_<family>(Queue&, args) launch the kernels of a
// family in sequence. They are templates over the queue, so that tests run them with another one
// (tests/cuda_host/harness/host_queue.h). Each is compiled in one .cu file, by explicit
// instantiation. No function waits for the device, so that a CUDA graph can capture all of it.
class DeviceQueue {
 public:
  // Constructed after the arguments of an op were checked to be on one CUDA device; lives until the
  // last launch.
  DeviceQueue(const Tensor& like, std::string_view op)
      : like_(like), op_(op), device_(like.get_device_index()), guard_(device_) {
    void* stream = nullptr;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device_, &stream));
    stream_ = static_cast<cudaStream_t>(stream);
    (void)cudaGetLastError();  // clear a pending error of an earlier, unrelated CUDA call
  }

  const std::string& op() const { return op_; }

  // ---- Memory --------------------------------------------------------------

  // Uninitialised memory that lives as long as the queue. Afterwards the caching allocator reuses
  // it for later work of the same stream only.
  template <typename T>
  T* allocate(int64_t count) {
    const int64_t bytes = std::max<int64_t>(1, count) * static_cast<int64_t>(sizeof(T));
    memory_.push_back(new_tensor(like_, {bytes}, ScalarType::Byte));
    return reinterpret_cast<T*>(memory_.back().mutable_data_ptr());
  }

  // Returns `lay_out(workspace)`. All arrays that it takes lie in one allocation. It is called
  // twice, the first time only to measure the size.
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

  // With `shared_bytes` of dynamic shared memory per block; opts in to more than 48 KB.
  template <typename Parameter>
  void launch_with_memory(int64_t blocks, int threads, int64_t shared_bytes,
                          void (*kernel)(Parameter), const std::remove_cv_t<Parameter>& argument) {
    if (blocks == 0) return;
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)));
    kernel<<<grid(blocks), threads, static_cast<size_t>(shared_bytes), stream_>>>(argument);
    check(cudaGetLastError());
  }

  // A persistent grid: at most as many blocks as are resident at once. For kernels with a
  // grid-stride loop.
  template <typename Parameter>
  void launch_resident(int64_t most_blocks, int threads, void (*kernel)(Parameter),
                       const std::remove_cv_t<Parameter>& argument) {
    launch(std::min(most_blocks, resident_blocks(kernel, threads)), threads, kernel, argument);
  }

  // Cooperative launch: a persistent grid with grid-wide barriers (primitives/grid.cuh).
  template <typename Parameter>
  void launch_cooperative(int64_t most_blocks, int threads, void (*kernel)(Parameter),
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

  // Stable sort by the lowest `bits` of the keys, from one pair of arrays to another.
  void sort(KeyedValues from, KeyedValues to, int64_t count, int bits) {
    size_t bytes = 0;
    check(sort_pairs(nullptr, bytes, from, to, count, bits, stream_));
    void* workspace = sort_workspace(bytes);
    check(sort_pairs(workspace, bytes, from, to, count, bits, stream_));
  }

  // The same within a double buffer. Returns the index (0 or 1) of the arrays with the result.
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

  // grid.x for `blocks` blocks.
  unsigned grid(int64_t blocks) const {
    fused_rankloss::check(blocks <= INT32_MAX, op_, ": expected work for at most ", INT32_MAX,
                          " thread blocks, got ", blocks);
    return static_cast<unsigned>(blocks);
  }

  // The number of blocks of a kernel that are resident on the device at once.
  template <typename Parameter>
  int64_t resident_blocks(void (*kernel)(Parameter), int threads) const {
    static DeviceAttributes<std::pair<const void*, int>> attributes;
    const void* const address = reinterpret_cast<const void*>(kernel);
    return attributes.get({address, threads}, device_, [&] {
      int multiprocessors = 0, blocks_each = 0;
      check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device_));
      check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks_each, kernel, threads, 0));
      return int64_t{multiprocessors} * blocks_each;
    });
  }

  // Sorts run one after the other in the stream, so they share one workspace.
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
