// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace fused_rankloss::cuda {

// Keys to sort by, with the values that move along.
struct KeyedValues {
  uint64_t* keys;
  int32_t* values;
};

// Keys with 32-bit values, and as much room again to sort through.
template <typename Key>
struct SortBuffers {
  Key* keys[2];
  uint32_t* values[2];
};

}  // namespace fused_rankloss::cuda
