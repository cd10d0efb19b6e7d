// SPDX-License-Identifier: BSD-3-Clause
//
// What only the CPU checks before it starts, since on a GPU it would cost a synchronisation.
#pragma once

#include <string>

#include "bind/torch.h"

namespace fused_rankloss {

inline void check_lists(const Lists& lists, const std::string& op) {
  for (int64_t b = 0; b < lists.num_lists; ++b) {
    if (lists.valid(b)) continue;
    if (lists.lengths) {
      check(false, op, ": expected lengths in [0, ", lists.width, "], got ", lists.lengths[b],
            " for list ", b);
    }
    check(false, op, ": expected offsets that start at 0, never fall and end at ", lists.num_slots,
          " (the number of scores), got ", lists.offsets[b], " and ", lists.offsets[b + 1],
          " for list ", b,
          "; if these are the sizes of lists, pass F.pad(offsets.cumsum(0), (1, 0))");
  }
  check(!lists.offsets || lists.num_lists > 0 || lists.offsets[0] == 0, op,
        ": expected offsets that start at 0 and end at ", lists.num_slots,
        " (the number of scores), got the single offset ", lists.offsets ? lists.offsets[0] : 0);
}

// Slots of the longest list, which kernels index with 32 bits.
inline int64_t longest_list(const Lists& lists, const std::string& op) {
  int64_t longest = 0;
  for (int64_t b = 0; b < lists.num_lists; ++b) {
    longest = lists.slots(b).size() > longest ? lists.slots(b).size() : longest;
  }
  check(longest < INT32_MAX, op, ": expected lists of fewer than 2^31 - 1 slots, got ", longest);
  return longest;
}

}  // namespace fused_rankloss
