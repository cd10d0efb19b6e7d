// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

namespace fused_rankloss::cpu {

// Hands out arrays from one piece of memory. Without memory it only adds up how much they take, so
// that one constructor both lays arrays out and says how large they are.
class Arena {
 public:
  explicit Arena(std::byte* memory = nullptr) : memory_(memory) {}

  template <typename T>
  T* take(int64_t count) {
    const int64_t begin = used_;
    used_ += (count * static_cast<int64_t>(sizeof(T)) + kAlign - 1) / kAlign * kAlign;
    return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + begin);
  }

  int64_t used() const { return used_; }

 private:
  static constexpr int64_t kAlign = 64;
  std::byte* memory_;
  int64_t used_ = 0;
};

}  // namespace fused_rankloss::cpu
