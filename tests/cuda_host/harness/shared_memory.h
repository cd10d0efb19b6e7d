// SPDX-License-Identifier: BSD-3-Clause
//
// Shared memory of the host harness. SharedArray takes the place of
// csrc/cuda/primitives/shared_array.cuh and checks every access: the index, that the cell was
// written since the block began, and that no other thread touched it since a barrier (or
// __syncwarp, within a warp; or a barrier of their warpgroup) unless both only read.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "harness/machine.h"

namespace cuda_host {

// Who touched a cell last, and when.
struct Access {
  static constexpr int kNobody = -1;
  static constexpr int kSeveral = -2;

  int thread = kNobody;
  int warp = kNobody;
  int group = kNobody;
  int epoch = 0;
  int warp_epoch = 0;
  int group_epoch = 0;

  // No barrier lies between this access and one that the running thread makes now.
  bool races(const Machine& machine) const {
    if (thread == kNobody || thread == machine.thread() || epoch != machine.epoch()) return false;
    if (group == machine.group() && group_epoch != machine.group_epoch()) return false;
    return warp != machine.warp() || warp_epoch == machine.warp_epoch();
  }

  void record(const Machine& machine, bool keep_others) {
    const bool others = keep_others && races(machine);
    thread = others ? kSeveral : machine.thread();
    warp = others && warp != machine.warp() ? kSeveral : machine.warp();
    group = others && group != machine.group() ? kSeveral : machine.group();
    epoch = machine.epoch();
    warp_epoch = machine.warp_epoch();
    group_epoch = machine.group_epoch();
  }

  std::string name() const {
    return thread == kSeveral ? "several threads" : "thread " + std::to_string(thread);
  }
};

}  // namespace cuda_host

namespace fused_rankloss::cuda {

template <typename T, int kSize>
class SharedArray final : cuda_host::Poisonable {
  static_assert(std::is_trivially_copyable_v<T>);
  using Where = cuda_host::Where;

 public:
  SharedArray() { machine().add_poisonable(this); }

  T load(int index, const Where& where = Where::current()) {
    check_index(index, where);
    const std::size_t cell = cell_of(index);
    if (writers_[cell].thread == cuda_host::Access::kNobody) {
      fail(index, "that no thread of this block wrote", where);
    }
    if (writers_[cell].races(machine())) {
      fail(index, "that " + writers_[cell].name() + " wrote without a barrier in between", where);
    }
    readers_[cell].record(machine(), /*keep_others=*/true);
    T value;
    std::memcpy(&value, &bytes_[sizeof(T) * cell], sizeof(T));
    return value;
  }

  void store(int index, const T& value, const Where& where = Where::current()) {
    check_index(index, where);
    const std::size_t cell = cell_of(index);
    for (const cuda_host::Access* other : {&writers_[cell], &readers_[cell]}) {
      if (other->races(machine())) {
        fail(index, "that " + other->name() + " used without a barrier in between", where);
      }
    }
    writers_[cell].record(machine(), /*keep_others=*/false);
    std::memcpy(&bytes_[sizeof(T) * cell], &value, sizeof(T));
  }

  void poison(int num_blocks) override {
    const std::size_t cells = std::size_t{kSize} * static_cast<std::size_t>(num_blocks);
    bytes_.assign(sizeof(T) * cells, std::byte{0xff});
    writers_.assign(cells, {});
    readers_.assign(cells, {});
  }

 private:
  static cuda_host::Machine& machine() { return cuda_host::Machine::get(); }

  // Each block has cells of its own.
  static std::size_t cell_of(int index) {
    return static_cast<std::size_t>(machine().resident_block()) * kSize + index;
  }

  static void check_index(int index, const Where& where) {
    if (index >= 0 && index < kSize) return;
    fail(index, "of an array of " + std::to_string(kSize), where);
  }

  [[noreturn]] static void fail(int index, const std::string& what, const Where& where) {
    machine().fail(where, "thread " + std::to_string(machine().thread()) + " uses shared cell " +
                              std::to_string(index) + " " + what);
  }

  std::vector<std::byte> bytes_;
  std::vector<cuda_host::Access> writers_;
  std::vector<cuda_host::Access> readers_;
};

}  // namespace fused_rankloss::cuda
