// SPDX-License-Identifier: BSD-3-Clause
//
// What DeviceQueue (csrc/cuda/launch/launch.h) is to the functions run_<family>, on the CPU:
// kernels run in the host harness, under a schedule drawn from a seed. A stable sort of the host
// takes the place of the radix sorts. Every allocation holds bytes of NaN, and some behind its end
// that no kernel may change; under AddressSanitizer, which sees that itself, it has the exact size.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

#include "common/workspace.h"
#include "cuda/launch/sort_arrays.h"
#include "harness/host_memory.h"

namespace fused_rankloss::host {

using namespace cuda;

// The device that a queue stands for, and the schedule of what runs on it.
struct HostDeviceFacts {
  std::uint64_t seed = 0;
  int64_t resident_blocks = 3;  // of any kernel
};

class HostQueue {
 public:
  explicit HostQueue(std::string op, HostDeviceFacts facts = {})
      : op_(std::move(op)), facts_(facts) {}

  const std::string& op() const { return op_; }

  // The type of each launched kernel's first parameter, in their order; of the last launch, how
  // many atomics there were and blocks.
  const std::vector<std::type_index>& launches() const { return launches_; }
  std::uint64_t last_atomics() const { return last_atomics_; }
  std::uint64_t last_blocks() const { return last_blocks_; }

  template <typename T>
  T* allocate(int64_t count) {
    memory_.push_back(workspace_of(count * static_cast<int64_t>(sizeof(T))));
    memory_.back().resize(memory_.back().size() + kGuardBytes, kGuard);
    return reinterpret_cast<T*>(memory_.back().data());
  }

  template <class LayOut>
  auto workspace(LayOut&& lay_out) {
    Workspace sizes(nullptr);
    lay_out(sizes);
    Workspace memory(allocate<char>(sizes.bytes()));
    return lay_out(memory);
  }

  template <typename T>
  void zero(T* values, int64_t count) {
    std::fill_n(reinterpret_cast<std::byte*>(values), count * sizeof(T), std::byte{0});
  }

  template <typename... Parameters, typename... Arguments>
  void launch(int64_t blocks, int threads, void (*kernel)(Parameters...),
              const Arguments&... arguments) {
    run(blocks, threads, {}, kernel, arguments...);
  }

  template <typename Parameter>
  void launch_resident(int64_t most_blocks, int threads, void (*kernel)(Parameter),
                       const std::remove_cv_t<Parameter>& argument) {
    launch(std::min(most_blocks, facts_.resident_blocks), threads, kernel, argument);
  }

  template <typename Parameter>
  void launch_with_memory(int64_t blocks, int threads, int64_t shared_bytes,
                          void (*kernel)(Parameter), const std::remove_cv_t<Parameter>& argument) {
    run(blocks, threads, {.dynamic_bytes = static_cast<std::size_t>(shared_bytes)}, kernel,
        argument);
  }

  template <typename Parameter>
  void launch_together(int64_t most_blocks, int threads, void (*kernel)(Parameter),
                       const std::remove_cv_t<Parameter>& argument) {
    const int64_t blocks = std::min(most_blocks, facts_.resident_blocks);
    run(blocks, threads, {.together = true}, kernel, argument);
  }

  void sort(KeyedValues from, KeyedValues to, int64_t count, int bits) {
    const std::vector<int64_t> order = sorted_order(from.keys, count, bits);
    for (int64_t t = 0; t < count; ++t) {
      to.keys[t] = from.keys[order[t]];
      to.values[t] = from.values[order[t]];
    }
  }

  // Either half may hold the result: the seed decides. The other one then holds no copy of it.
  template <typename Key>
  int sort(const SortBuffers<Key>& buffers, int64_t count, int bits) {
    const std::vector<int64_t> order = sorted_order(buffers.keys[0], count, bits);
    const std::vector<Key> keys(buffers.keys[0], buffers.keys[0] + count);
    const std::vector<uint32_t> values(buffers.values[0], buffers.values[0] + count);
    const int half = static_cast<int>(facts_.seed++ % 2);
    std::fill_n(buffers.keys[1 - half], count, static_cast<Key>(-1));
    std::fill_n(buffers.values[1 - half], count, 0xffffffffu);
    for (int64_t t = 0; t < count; ++t) {
      buffers.keys[half][t] = keys[order[t]];
      buffers.values[half][t] = values[order[t]];
    }
    return half;
  }

 private:
#ifdef __SANITIZE_ADDRESS__
  static constexpr std::size_t kGuardBytes = 0;
#else
  static constexpr std::size_t kGuardBytes = 4096;
#endif
  static constexpr std::byte kGuard{0xa5};

  void check_guards() const {
    for (const std::vector<std::byte>& memory : memory_) {
      const bool whole = std::all_of(memory.end() - kGuardBytes, memory.end(),
                                     [](std::byte byte) { return byte == kGuard; });
      if (!whole) throw std::runtime_error(op_ + ": a kernel wrote behind its workspace");
    }
  }

  template <typename... Parameters, typename... Arguments>
  void run(int64_t blocks, int threads, cuda_host::LaunchConfig config,
           void (*kernel)(Parameters...), const Arguments&... arguments) {
    if (blocks == 0) return;
    config.grid = {static_cast<unsigned>(blocks)};
    config.block = {static_cast<unsigned>(threads)};
    config.seed = facts_.seed++;
    cuda_host::launch(config, kernel, arguments...);
    check_guards();
    launches_.push_back(parameters_of(kernel));
    last_atomics_ = cuda_host::Machine::get().atomics;
    last_blocks_ = static_cast<std::uint64_t>(blocks);
  }

  template <typename First, typename... Rest>
  static std::type_index parameters_of(void (*)(First, Rest...)) {
    return typeid(First);
  }

  template <typename Key>
  static std::vector<int64_t> sorted_order(const Key* keys, int64_t count, int bits) {
    const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    std::vector<int64_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return (keys[a] & mask) < (keys[b] & mask); });
    return order;
  }

  std::string op_;
  HostDeviceFacts facts_;
  std::vector<std::vector<std::byte>> memory_;
  std::vector<std::type_index> launches_;
  std::uint64_t last_atomics_ = 0;
  std::uint64_t last_blocks_ = 0;
};

}  // namespace fused_rankloss::host
