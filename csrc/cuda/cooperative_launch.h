// SPDX-License-Identifier: BSD-3-Clause
//
// Launches whose blocks may wait for each other (team.cuh).
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/launch.h"

namespace fused_rankloss {

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

}  // namespace fused_rankloss
