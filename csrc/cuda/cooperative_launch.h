// SPDX-License-Identifier: BSD-3-Clause
//
// Launches whose blocks may wait for each other (team.cuh).
#pragma once

#include <map>
#include <mutex>
#include <type_traits>
#include <utility>

#include "cuda/launch.h"

namespace fused_rankloss {

// How many blocks of a kernel the current device holds at once. Asked once: the answer takes the
// driver longer than a launch.
inline int64_t resident_blocks(const void* kernel, int threads, std::string_view op) {
  static std::mutex mutex;
  static std::map<std::pair<const void*, int>, int64_t> known;
  int device = 0;
  check_cuda(cudaGetDevice(&device), op);
  const std::lock_guard lock(mutex);
  int64_t& blocks = known[{kernel, device}];
  if (blocks == 0) {
    int multiprocessors = 0, blocks_each = 0;
    check_cuda(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
               op);
    check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks_each, kernel, threads, 0), op);
    blocks = int64_t{multiprocessors} * blocks_each;
  }
  return blocks;
}

// Up to `most_blocks` blocks, and no more than run side by side.
template <typename Parameter>
void launch_cooperative(const LaunchScope& scope, void (*kernel)(Parameter), int64_t most_blocks,
                        int threads, const std::remove_cv_t<Parameter>& argument) {
  const void* address = reinterpret_cast<const void*>(kernel);
  const int64_t blocks = std::min(most_blocks, resident_blocks(address, threads, scope.op()));
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

}  // namespace fused_rankloss
