// SPDX-License-Identifier: BSD-3-Clause
//
// In the place of torch's CUDA: its stream and device guard, and an allocator of CPU tensors that
// gives each one memory of its own, aligned as CUDA's, full of junk, whose ends are known. Tensors
// that are made while an op runs (workspaces and results) hold nothing until it is written.
#include "torch_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "memory.h"
#include "modules.h"
#include "settings.h"

namespace ptx {

bool in_op = false;
int64_t device_index = -1;

namespace {

constexpr size_t kAlignment = 512, kGuard = 256;
constexpr unsigned char kGuardByte = 0xc9, kFreedByte = 0xdb;

// In front of a tensor's memory.
struct Head {
  void* block;
  size_t bytes;
};

Head* head_of(void* data) { return static_cast<Head*>(data) - 1; }

void release(void* data) {
  if (data == nullptr) return;
  const Head head = *head_of(data);
  const unsigned char* guard = static_cast<unsigned char*>(data) + head.bytes;
  if (std::any_of(guard, guard + kGuard, [](unsigned char c) { return c != kGuardByte; })) {
    last_failure() =
        "a write of the host behind a tensor of " + std::to_string(head.bytes) + " bytes";
  }
  remove_allocation(reinterpret_cast<uint64_t>(data));
  memset(data, kFreedByte, head.bytes);
  free(head.block);
}

class KnownMemory final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device cpu(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &release, cpu};
    void* block = malloc(bytes + kGuard + 2 * kAlignment);
    if (block == nullptr) throw std::bad_alloc();
    const uint64_t first = reinterpret_cast<uint64_t>(block) + sizeof(Head);
    char* data = reinterpret_cast<char*>((first + kAlignment - 1) / kAlignment * kAlignment);
    *head_of(data) = {block, bytes};
    static constexpr int kJunk[] = {0xff, 0x7b, 0x00, 0x80};
    memset(data, kJunk[random_bits() % 4], bytes);
    memset(data + bytes, kGuardByte, kGuard);
    add_allocation(reinterpret_cast<uint64_t>(data), bytes, "a tensor", in_op);
    return {data, data, &release, cpu};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

}  // namespace

void install_allocator() {
  static KnownMemory memory;
  c10::SetCPUAllocator(&memory, 255);
}
void uninstall_allocator() { c10::SetCPUAllocator(c10::GetDefaultCPUAllocator(), 255); }

}  // namespace ptx

// Called by registration.h's Workspace.
extern "C" void ptx_add_workspace_array(const void* array, int64_t bytes) {
  ptx::add_part(reinterpret_cast<uint64_t>(array), static_cast<uint64_t>(bytes),
                "an array of a workspace", ptx::in_op);
}

#define TORCH_CUDA_API extern "C" __attribute__((visibility("default")))

// The other operators that launchers call (contiguous, to) write what they allocate.
TORCH_CUDA_API int32_t torch_call_dispatcher(const char* name, const char* overload,
                                             uint64_t* stack, uint64_t version) {
  using Dispatcher = int32_t (*)(const char*, const char*, uint64_t*, uint64_t);
  static const auto dispatcher =
      reinterpret_cast<Dispatcher>(dlsym(RTLD_NEXT, "torch_call_dispatcher"));
  const bool before = ptx::in_op;
  ptx::in_op = before && std::string(name) == "aten::new_empty";
  const int32_t error = dispatcher(name, overload, stack, version);
  ptx::in_op = before;
  return error;
}

// The link (-Bsymbolic-functions) has the launchers ask this one.
TORCH_CUDA_API int32_t aoti_torch_get_device_index(void*, int32_t* index) {
  *index = static_cast<int32_t>(ptx::device_index);
  return 0;
}
TORCH_CUDA_API int32_t aoti_torch_get_current_cuda_stream(int32_t, void** stream) {
  *stream = nullptr;
  return 0;
}
TORCH_CUDA_API int32_t aoti_torch_create_device_guard(int32_t, void** guard) {
  static int one;
  *guard = &one;
  return 0;
}
TORCH_CUDA_API int32_t aoti_torch_delete_device_guard(void*) { return 0; }
