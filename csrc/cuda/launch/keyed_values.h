// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace fused_rankloss {

// Keys to sort by, with the values that move along.
struct KeyedValues {
  uint64_t* keys;
  int32_t* values;
};

}  // namespace fused_rankloss
