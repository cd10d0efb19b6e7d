// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace fused_rankloss {

// Hands out arrays from one piece of memory. Without memory it only adds up how much they take, so
// that one function both lays arrays out and says how large they are.
class Workspace {
 public:
  explicit Workspace(void* memory = nullptr) : memory_(static_cast<char*>(memory)) {}

  template <typename T>
  T* take(int64_t count) {
    T* array = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + bytes_);
    bytes_ += (count * int64_t{sizeof(T)} + kAlignment - 1) / kAlignment * kAlignment;
    return array;
  }

  int64_t bytes() const { return bytes_; }

 private:
  // A cache line of a GPU, two of a CPU.
  static constexpr int64_t kAlignment = 128;

  char* memory_;
  int64_t bytes_ = 0;
};

}  // namespace fused_rankloss
