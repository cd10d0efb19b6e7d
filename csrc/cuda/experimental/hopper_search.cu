// SPDX-License-Identifier: BSD-3-Clause
//
// The search for Hopper on a stream. Compiled for sm_90a alone (build_tools/ptxas_report.py).
//
// Experimental: compiled only with FUSED_RANKLOSS_EXPERIMENTAL=1, taken only with
// FUSED_RANKLOSS_HOPPER=1. hopper_search.h says what graduates it and what deletes it.
#include <cuda_runtime.h>

#include <cstdlib>
#include <string_view>

#include "cuda/experimental/hopper_search.cuh"
#include "cuda/launch/launch.h"

namespace fused_rankloss::cuda::triplet {
namespace {

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

// The driver's, asked of the runtime: a link to the driver itself would fail where there is none.
EncodeTiled encode_tiled(const std::string& op) {
  static void* const found = [&op] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
#if CUDART_VERSION >= 12050
    check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                cudaEnableDefault, &result),
               op);
#else
    check_cuda(
        cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &result),
        op);
#endif
    if (result != cudaDriverEntryPointSuccess) function = nullptr;
    return function;
  }();
  if (found == nullptr) {
    throw std::runtime_error(op + ": the CUDA driver has no cuTensorMapEncodeTiled; update it");
  }
  return reinterpret_cast<EncodeTiled>(found);
}

TensorMap map_of(const Halves8* cells, int64_t rows, int64_t row_halves, const std::string& op) {
  const cuuint64_t size[] = {static_cast<cuuint64_t>(row_halves), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(row_halves) *
                                2};  // bytes, from dimension 1
  const cuuint32_t box[] = {kTileRowHalves, kTileRows};
  const cuuint32_t steps[] = {1, 1};
  TensorMap map;
  const CUresult result = encode_tiled(op)(
      &map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, const_cast<Halves8*>(cells), size, strides, box,
      steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw std::runtime_error(op + ": cuTensorMapEncodeTiled failed with CUresult " +
                             std::to_string(static_cast<int>(result)));
  }
  return map;
}

// Whether the queue's GPU runs what is compiled for sm_90a.
bool is_hopper(const std::string& op) {
  int device = 0, major = 0, minor = 0;
  check_cuda(cudaGetDevice(&device), op);
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), op);
  check_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), op);
  return major == 9 && minor == 0;
}

bool is_switched_on() {
  const char* const value = std::getenv("FUSED_RANKLOSS_HOPPER");
  return value != nullptr && std::string_view(value) == "1";
}

}  // namespace

bool launch_hopper_search(DeviceQueue& queue, SearchParams& search) {
  if (!is_switched_on() || !hopper_search_fits(search.data, kHopperRows) ||
      !is_hopper(queue.op())) {
    return false;
  }
  run_hopper_search(queue, search, [&](const Halves8* cells, int64_t rows, int64_t row_halves) {
    return map_of(cells, rows, row_halves, queue.op());
  });
  return true;
}

}  // namespace fused_rankloss::cuda::triplet
