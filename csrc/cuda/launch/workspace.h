// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace fused_rankloss {

// Workspace, laid out one array after the other. With no memory, only its size.
class Workspace {
 public:
  explicit Workspace(void* memory) : memory_(static_cast<char*>(memory)) {}

  template <typename T>
  T* take(int64_t count) {
    T* array = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + bytes_);
    bytes_ += (count * int64_t{sizeof(T)} + kAlignment - 1) / kAlignment * kAlignment;
    return array;
  }

  int64_t bytes() const { return bytes_; }

 private:
  static constexpr int64_t kAlignment = 256;

  char* memory_;
  int64_t bytes_ = 0;
};

}  // namespace fused_rankloss
