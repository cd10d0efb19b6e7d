// SPDX-License-Identifier: BSD-3-Clause
//
// Shared numbers that threads change at once, for the host harness: SharedAtomics takes the place
// of that of csrc/cuda/shared_array.cuh. Each block has its own, and each change is a point where
// the schedule may change; the index is checked.
#pragma once

#include <vector>

#include "shared_memory.h"

namespace fused_rankloss {

template <typename T, int kSize>
class SharedAtomics final : cuda_host::Poisonable {
  using Where = cuda_host::Where;

 public:
  SharedAtomics() { cuda_host::Machine::get().add_poisonable(this); }

  T load(int index, const Where& where = Where::current()) { return *cell(index, where); }
  void store(int index, T value, const Where& where = Where::current()) {
    *cell(index, where) = value;
  }
  T add(int index, T value, const Where& where = Where::current()) {
    return atomicAdd(cell(index, where), value);
  }
  T exchange(int index, T value, const Where& where = Where::current()) {
    return atomicExch(cell(index, where), value);
  }
  T compare_and_swap(int index, T expected, T value, const Where& where = Where::current()) {
    return atomicCAS(cell(index, where), expected, value);
  }

  void poison(int num_blocks) override {
    cells_.assign(std::size_t{kSize} * static_cast<std::size_t>(num_blocks), static_cast<T>(-1));
  }

 private:
  T* cell(int index, const Where& where) {
    cuda_host::Machine& machine = cuda_host::Machine::get();
    if (index < 0 || index >= kSize) {
      machine.fail(where, "shared cell " + std::to_string(index) + " of an array of " +
                              std::to_string(kSize));
    }
    return &cells_[static_cast<std::size_t>(machine.resident_block()) * kSize + index];
  }

  std::vector<T> cells_;
};

}  // namespace fused_rankloss
