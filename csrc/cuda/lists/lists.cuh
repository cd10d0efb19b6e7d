// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "common/lists.h"

namespace fused_rankloss::cuda {

inline constexpr int64_t kNoList = -1;

// Slots, positions and counts of a call are 32-bit numbers on CUDA.
inline void check_slots(const Lists& lists, std::string_view op) {
  if (lists.num_slots <= INT32_MAX) return;
  throw std::invalid_argument(std::string(op) +
                              ": expected at most 2147483647 scores on CUDA, got " +
                              std::to_string(lists.num_slots));
}

// The list that a slot belongs to: the first one that ends beyond it. Ascending with the slot where
// the offsets ascend; kNoList where offsets that nobody could check end before the slot.
FRL_HD int64_t list_of(const Lists& lists, int64_t slot) {
  if (!lists.offsets) return slot / lists.width;
  int64_t low = 0;
  int64_t high = lists.num_lists;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (lists.offsets[middle + 1] <= slot) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < lists.num_lists ? low : kNoList;
}

// The slots of a slot's list, or none when the slot is padding.
FRL_HD Range real_range(const Lists& lists, int64_t list, int64_t slot) {
  if (list == kNoList) return {0, 0};
  const Range range = lists.slots(list);
  const bool real = range.begin <= slot && slot < range.end && lists.is_real(slot);
  return real ? range : Range{0, 0};
}

// Sorted by list, items take the places of their list's slots, padding included.
FRL_HD Range list_positions(const Lists& lists, int64_t list) {
  if (lists.offsets) return lists.slots(list);
  return {list * lists.width, (list + 1) * lists.width};
}

// Long lists are sorted (pairwise/long.cuh), the pairs of others enumerated (pairwise/tiled.cuh).
inline constexpr int64_t kNoLongLists = INT64_MAX;

// The most slots that a list may have, as far as the host knows.
FRL_HD int64_t longest_list(const Lists& lists) {
  return lists.offsets || lists.num_slots == 0 ? lists.num_slots : lists.width;
}

FRL_HD bool is_long(const Lists& lists, int64_t list, int64_t crossover) {
  return list != kNoList && lists.slots(list).size() > crossover;
}

}  // namespace fused_rankloss::cuda
