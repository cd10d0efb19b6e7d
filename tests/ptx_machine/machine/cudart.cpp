// SPDX-License-Identifier: BSD-3-Clause
//
// In the place of cudart: launches, which are refused where a GPU would refuse them, the facts of
// the device, memsets. What nvcc's host code calls to register its kernels is here as well.
#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "fault.h"
#include "grid.h"
#include "memory.h"
#include "modules.h"
#include "settings.h"
#include "tensor_map.h"
#include "torch_memory.h"

#define CUDA_API extern "C" __attribute__((visibility("default")))

namespace ptx {

std::vector<std::unique_ptr<Module>>& modules() {
  static std::vector<std::unique_ptr<Module>> all;
  return all;
}
std::string& last_failure() {
  static std::string text;
  return text;
}
std::vector<std::string>& launch_log() {
  static std::vector<std::string> lines;
  return lines;
}

namespace {

struct Function {
  Module* module = nullptr;
  std::string name;
  Kernel* kernel = nullptr;
};
std::map<const void*, Function>& functions() {
  static std::map<const void*, Function> all;
  return all;
}

cudaError_t last_error = cudaSuccess;

// Bytes of dynamic shared memory that a kernel may have on the device in use.
int64_t& most_dynamic_shared(const Kernel& kernel) {
  static std::map<std::pair<const Kernel*, int64_t>, int64_t> all;
  return all.try_emplace({&kernel, device_index}, 48 * 1024).first->second;
}

}  // namespace

void clear_failure() {
  last_failure().clear();
  last_error = cudaSuccess;
}

namespace {

cudaError_t refuse(cudaError_t error, const std::string& why) {
  last_failure() = why;
  return last_error = error;
}

Kernel* find_kernel(const void* host_function) {
  const auto found = functions().find(host_function);
  if (found == functions().end()) return nullptr;
  Function& function = found->second;
  if (function.kernel == nullptr) {
    try {
      function.module->scan();
      const auto kernel = function.module->kernels.find(function.name);
      if (kernel == function.module->kernels.end()) return nullptr;
      parse(*kernel->second);
      function.kernel = kernel->second.get();
    } catch (const Fault& fault) {
      last_failure() = fault.text;
      return nullptr;
    }
  }
  return function.kernel;
}

// What a block takes of a multiprocessor. Only ptxas knows the number of registers: here it is what
// launch bounds leave, or 64.
int64_t resident_blocks(const Kernel& kernel, int threads, int64_t dynamic_shared) {
  const Device& device = settings.device;
  const int64_t shared = kernel.static_shared + kernel.module->shared_bytes + dynamic_shared;
  if (shared > device.shared_of_block || dynamic_shared > most_dynamic_shared(kernel)) return 0;
  const int64_t bounded = int64_t{kernel.max_threads} * std::max(1, kernel.min_blocks);
  const int64_t most = device.registers_of_multiprocessor / bounded / 8 * 8;
  const int64_t registers =
      kernel.min_blocks > 0 ? std::min<int64_t>(255, most) : std::min<int64_t>(64, most);
  const int64_t warps = (threads + 31) / 32;
  return std::max<int64_t>(
      0, std::min({device.blocks_of_multiprocessor, device.threads_of_multiprocessor / (warps * 32),
                   device.registers_of_multiprocessor / (registers * 32 * warps),
                   device.shared_of_multiprocessor / (shared + 1024)}));
}

// Why a GPU would refuse a launch, or nothing.
std::string refusal(const Kernel& kernel, const LaunchShape& shape, cudaError_t& error) {
  error = cudaErrorInvalidConfiguration;
  const uint64_t threads = uint64_t{shape.block[0]} * shape.block[1] * shape.block[2];
  const uint64_t blocks = uint64_t{shape.grid[0]} * shape.grid[1] * shape.grid[2];
  if (blocks == 0 || shape.grid[0] > INT32_MAX || shape.grid[1] > 65535 || shape.grid[2] > 65535) {
    return "a grid of " + std::to_string(shape.grid[0]) + " x " + std::to_string(shape.grid[1]) +
           " x " + std::to_string(shape.grid[2]) + " blocks";
  }
  if (threads == 0 || threads > 1024 || threads > static_cast<uint64_t>(kernel.max_threads)) {
    return std::to_string(threads) + " threads per block, where __launch_bounds__ has " +
           std::to_string(kernel.max_threads);
  }
  if (kernel.static_shared > 48 * 1024) return "more than 48 KB of static shared memory";
  if (shape.dynamic_shared > most_dynamic_shared(kernel)) {
    error = cudaErrorInvalidValue;
    return std::to_string(shape.dynamic_shared) +
           " bytes of dynamic shared memory, where cudaFuncSetAttribute has allowed " +
           std::to_string(most_dynamic_shared(kernel));
  }
  const int64_t each = resident_blocks(kernel, static_cast<int>(threads), shape.dynamic_shared);
  if (each == 0) return "blocks that do not fit into a multiprocessor";
  const int64_t resident = each * settings.device.multiprocessors;
  if (shape.cooperative && blocks > static_cast<uint64_t>(resident)) {
    error = cudaErrorCooperativeLaunchTooLarge;
    return std::to_string(blocks) + " blocks of a cooperative launch, where " +
           std::to_string(resident) + " are resident";
  }
  return "";
}

cudaError_t launch(const void* host_function, dim3 grid, dim3 block, void** arguments,
                   size_t shared, bool cooperative) {
  Kernel* kernel = find_kernel(host_function);
  if (kernel == nullptr) return refuse(cudaErrorInvalidDeviceFunction, last_failure());
  const LaunchShape shape{{grid.x, grid.y, grid.z},
                          {block.x, block.y, block.z},
                          static_cast<uint32_t>(shared),
                          cooperative};
  cudaError_t error = cudaSuccess;
  if (const std::string why = refusal(*kernel, shape, error); !why.empty()) {
    return refuse(error, "a launch of " + readable_name(kernel->name) + " with " + why);
  }
  char* parameters = kernel->parameters_begin();
  for (size_t p = 0; p < kernel->parameters.size(); ++p) {
    memcpy(parameters + kernel->parameters[p].offset, arguments[p], kernel->parameters[p].size);
  }
  launch_log().push_back(readable_name(kernel->name));
  try {
    run(*kernel, shape);
  } catch (const Fault& fault) {
    return refuse(cudaErrorIllegalAddress, fault.text);
  }
  return cudaSuccess;
}

struct Configuration {
  dim3 grid, block;
  size_t shared;
  void* stream;
};
std::vector<Configuration> configurations;

}  // namespace
}  // namespace ptx

using namespace ptx;

// ---- What nvcc's host code calls ----------------------------------------------------------------

// A fat binary: a wrapper, a header, then entries that begin with kind, size of their head and size
// of what follows. Kind 1 is PTX.
CUDA_API void** __cudaRegisterFatBinary(void* wrapper) {
  struct Wrapper {
    int magic, version;
    const char* data;
  };
  const char* data = static_cast<const Wrapper*>(wrapper)->data;
  uint16_t header_bytes;
  uint64_t bytes;
  memcpy(&header_bytes, data + 6, sizeof header_bytes);
  memcpy(&bytes, data + 8, sizeof bytes);
  auto module = std::make_unique<Module>();
  const char* entry = data + header_bytes;
  const char* end = entry + bytes;
  while (entry + 64 <= end) {
    uint16_t kind;
    uint32_t head_bytes;
    uint64_t payload_bytes;
    memcpy(&kind, entry, sizeof kind);
    memcpy(&head_bytes, entry + 4, sizeof head_bytes);
    memcpy(&payload_bytes, entry + 8, sizeof payload_bytes);
    if (head_bytes == 0) break;
    if (kind == 1) {
      module->text.assign(entry + head_bytes, strnlen(entry + head_bytes, payload_bytes));
    }
    entry += head_bytes + payload_bytes;
  }
  modules().push_back(std::move(module));
  return reinterpret_cast<void**>(modules().back().get());
}
CUDA_API void __cudaRegisterFatBinaryEnd(void**) {}
CUDA_API void __cudaUnregisterFatBinary(void**) {}
CUDA_API void __cudaRegisterFunction(void** module, const char* host, char*, const char* name, int,
                                     void*, void*, void*, void*, int*) {
  functions()[host] = {reinterpret_cast<Module*>(module), name, nullptr};
}
CUDA_API void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
CUDA_API char __cudaInitModule(void**) { return 1; }
CUDA_API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared,
                                              CUstream_st* stream) {
  configurations.push_back({grid, block, shared, stream});
  return 0;
}
CUDA_API cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared,
                                                void* stream) {
  const Configuration last = configurations.back();
  configurations.pop_back();
  *grid = last.grid;
  *block = last.block;
  *shared = last.shared;
  *static_cast<void**>(stream) = last.stream;
  return cudaSuccess;
}
CUDA_API cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(host));
  return cudaSuccess;
}
CUDA_API cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block,
                                        void** arguments, size_t shared, cudaStream_t) {
  return launch(kernel, grid, block, arguments, shared, false);
}

// ---- The runtime's own functions ----------------------------------------------------------------

CUDA_API cudaError_t cudaLaunchKernel(const void* host, dim3 grid, dim3 block, void** arguments,
                                      size_t shared, cudaStream_t) {
  return launch(host, grid, block, arguments, shared, false);
}
CUDA_API cudaError_t cudaLaunchCooperativeKernel(const void* host, dim3 grid, dim3 block,
                                                 void** arguments, size_t shared, cudaStream_t) {
  return launch(host, grid, block, arguments, shared, true);
}
CUDA_API cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* host,
                                         void** arguments) {
  bool cooperative = false;
  for (unsigned k = 0; k < config->numAttrs; ++k) {
    const cudaLaunchAttribute& attribute = config->attrs[k];
    if (attribute.id == cudaLaunchAttributeCooperative) {
      cooperative = attribute.val.cooperative;
    } else {
      return refuse(cudaErrorNotSupported,
                    "launch attribute " + std::to_string(attribute.id) + " is not emulated");
    }
  }
  return launch(host, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes,
                cooperative);
}

CUDA_API cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
CUDA_API cudaError_t cudaPeekAtLastError() { return last_error; }
CUDA_API const char* cudaGetErrorString(cudaError_t error) {
  static std::string text;
  text = "emulated error " + std::to_string(error) + ": " + last_failure();
  return text.c_str();
}

CUDA_API cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
CUDA_API cudaError_t cudaSetDevice(int) { return cudaSuccess; }
CUDA_API cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

CUDA_API cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const Device& device = settings.device;
  const std::map<cudaDeviceAttr, int64_t> values = {
      {cudaDevAttrMultiProcessorCount, device.multiprocessors},
      {cudaDevAttrMaxSharedMemoryPerBlock, 48 * 1024},
      {cudaDevAttrMaxSharedMemoryPerBlockOptin, device.shared_of_block},
      {cudaDevAttrMaxSharedMemoryPerMultiprocessor, device.shared_of_multiprocessor},
      {cudaDevAttrReservedSharedMemoryPerBlock, 1024},
      {cudaDevAttrComputeCapabilityMajor, device.major},
      {cudaDevAttrComputeCapabilityMinor, device.minor},
      {cudaDevAttrSingleToDoublePrecisionPerfRatio, device.float_to_double_ratio},
      {cudaDevAttrMaxThreadsPerMultiProcessor, device.threads_of_multiprocessor},
      {cudaDevAttrMaxThreadsPerBlock, 1024},
      {cudaDevAttrWarpSize, 32},
      {cudaDevAttrMaxGridDimX, INT32_MAX},
      {cudaDevAttrL2CacheSize, device.l2_bytes},
      {cudaDevAttrCooperativeLaunch, 1},
  };
  const auto found = values.find(attribute);
  if (found == values.end()) {
    return refuse(cudaErrorInvalidValue,
                  "device attribute " + std::to_string(attribute) + " is not emulated");
  }
  *value = static_cast<int>(found->second);
  return cudaSuccess;
}

CUDA_API cudaError_t cudaFuncSetAttribute(const void* host, cudaFuncAttribute attribute,
                                          int value) {
  Kernel* kernel = find_kernel(host);
  if (kernel == nullptr) return refuse(cudaErrorInvalidDeviceFunction, last_failure());
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || int64_t{kernel->static_shared} + value > settings.device.shared_of_block) {
    return refuse(cudaErrorInvalidValue, "cudaFuncSetAttribute: " + std::to_string(value) +
                                             " bytes of shared memory for " +
                                             readable_name(kernel->name));
  }
  most_dynamic_shared(*kernel) = value;
  return cudaSuccess;
}

CUDA_API cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* host) {
  Kernel* kernel = find_kernel(host);
  if (kernel == nullptr) return refuse(cudaErrorInvalidDeviceFunction, last_failure());
  *attributes = {};
  attributes->sharedSizeBytes = kernel->static_shared;
  attributes->localSizeBytes = kernel->local_bytes;
  attributes->maxThreadsPerBlock = kernel->max_threads;
  attributes->numRegs = 64;
  attributes->ptxVersion = kernel->module->architecture;
  attributes->binaryVersion = static_cast<int>(settings.device.major * 10 + settings.device.minor);
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(most_dynamic_shared(*kernel));
  return cudaSuccess;
}

CUDA_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int* blocks, const void* host, int threads, size_t dynamic_shared, unsigned) {
  Kernel* kernel = find_kernel(host);
  if (kernel == nullptr) return refuse(cudaErrorInvalidDeviceFunction, last_failure());
  const int64_t shared = static_cast<int64_t>(dynamic_shared);
  *blocks = static_cast<int>(resident_blocks(*kernel, threads, shared));
  return cudaSuccess;
}
CUDA_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* host,
                                                                   int threads,
                                                                   size_t dynamic_shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, host, threads,
                                                                dynamic_shared, 0);
}

CUDA_API cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  if (bytes > 0 && !mark_written(reinterpret_cast<uint64_t>(to), bytes)) {
    return refuse(cudaErrorInvalidValue, "cudaMemsetAsync beyond an allocation");
  }
  memset(to, value, bytes);
  return cudaSuccess;
}
CUDA_API cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                                     cudaStream_t) {
  mark_written(reinterpret_cast<uint64_t>(to), bytes);
  memcpy(to, from, bytes);
  return cudaSuccess;
}
CUDA_API cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
CUDA_API cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

// ---- The driver's function that makes tensor maps ---------------------------------------------

namespace {

CUresult encode_tiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* base,
                      const cuuint64_t* size, const cuuint64_t* strides, const cuuint32_t* box,
                      const cuuint32_t* steps, CUtensorMapInterleave interleave,
                      CUtensorMapSwizzle swizzle, CUtensorMapL2promotion,
                      CUtensorMapFloatOOBfill fill) {
  static_assert(sizeof(TensorMap) <= sizeof(CUtensorMap));
  const bool known =
      rank == 2 && type == CU_TENSOR_MAP_DATA_TYPE_FLOAT16 && steps[0] == 1 && steps[1] == 1 &&
      interleave == CU_TENSOR_MAP_INTERLEAVE_NONE && fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE &&
      (swizzle == CU_TENSOR_MAP_SWIZZLE_NONE || swizzle == CU_TENSOR_MAP_SWIZZLE_128B);
  const uint64_t address = reinterpret_cast<uint64_t>(base);
  const bool aligned = address % 16 == 0 && strides[0] % 16 == 0 && strides[0] < (1ull << 40);
  const auto fits = [&](int axis) {
    return size[axis] > 0 && size[axis] <= (1ull << 32) && box[axis] > 0 && box[axis] <= 256;
  };
  const bool swizzled = swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
  const uint32_t row_bytes = box[0] * 2;
  if (!known || !aligned || !fits(0) || !fits(1) || row_bytes % 16 != 0 ||
      (swizzled && row_bytes > 128)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const TensorMap tiled{TensorMap::kMagic, address,          {size[0], size[1]},
                        strides[0],        {box[0], box[1]}, swizzled};
  memset(map, 0, sizeof *map);
  memcpy(map, &tiled, sizeof tiled);
  return CUDA_SUCCESS;
}

}  // namespace

CUDA_API cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned,
                                                      unsigned long long,
                                                      cudaDriverEntryPointQueryResult* result) {
  if (std::string(name) != "cuTensorMapEncodeTiled") {
    *function = nullptr;
    return cudaErrorSymbolNotFound;
  }
  *function = reinterpret_cast<void*>(&encode_tiled);
  *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}
