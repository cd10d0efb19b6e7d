// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace fused_rankloss::cuda {

// Sort keys and the values that are permuted with them.
struct KeyedValues {
  uint64_t* keys;
  int32_t* values;
};

// A double buffer of keys with 32-bit values: [0] is the input, [1] scratch.
template <typename Key>
struct SortBuffers {
  Key* keys[2];
  uint32_t* values[2];
};

}  // namespace fused_rankloss::cuda
