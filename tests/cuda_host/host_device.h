// SPDX-License-Identifier: BSD-3-Clause
//
// What a GPU's stream is to the plans of long lists (LongListsPlan::run), on the CPU. A stable sort
// of the host takes the place of the radix sort.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "cuda/policy.h"
#include "cuda/sort_buffers.h"
#include "host_memory.h"

namespace fused_rankloss::host {

class HostDevice {
 public:
  // The schedule, and how many blocks run side by side.
  HostDevice(std::uint64_t seed, int64_t most_blocks) : seed_(seed), most_blocks_(most_blocks) {}

  void zero(void* memory, int64_t bytes) {
    std::fill_n(static_cast<std::byte*>(memory), bytes, std::byte{0});
  }

  template <typename... Parameters, typename... Arguments>
  void launch(void (*kernel)(Parameters...), int64_t blocks, const Arguments&... arguments) {
    cuda_host::launch(
        {.grid = {static_cast<unsigned>(blocks)}, .block = {kScanThreads}, .seed = seed_}, kernel,
        arguments...);
  }

  template <typename Parameter>
  void launch_together(void (*kernel)(Parameter), int64_t blocks, const Parameter& argument) {
    cuda_host::launch({.grid = {static_cast<unsigned>(std::min(blocks, most_blocks_))},
                       .block = {kScanThreads},
                       .seed = seed_,
                       .together = true},
                      kernel, argument);
  }

  template <typename Key>
  int sort(void* /*workspace*/, int64_t /*bytes*/, const SortBuffers<Key>& buffers, int64_t size,
           int end_bit) {
    const Key mask = static_cast<Key>(~uint64_t{0} >> (64 - end_bit));
    std::vector<std::pair<Key, uint32_t>> items(size);
    for (int64_t t = 0; t < size; ++t) items[t] = {buffers.keys[0][t], buffers.values[0][t]};
    std::stable_sort(items.begin(), items.end(), [mask](const auto& a, const auto& b) {
      return (a.first & mask) < (b.first & mask);
    });
    const int half = static_cast<int>((seed_ + sorts_++) % 2);  // either may hold the result
    std::fill_n(buffers.keys[1 - half], size, Key(-1));
    std::fill_n(buffers.values[1 - half], size, 0xffffffffu);
    for (int64_t t = 0; t < size; ++t) {
      buffers.keys[half][t] = items[t].first;
      buffers.values[half][t] = items[t].second;
    }
    return half;
  }

 private:
  std::uint64_t seed_;
  int64_t most_blocks_;
  std::uint64_t sorts_ = 0;
};

}  // namespace fused_rankloss::host
