// SPDX-License-Identifier: BSD-3-Clause
//
// One description of a batch of ragged lists for every input form: `num_slots` consecutive slots,
// cut into `num_lists` lists. Raw pointers only, so that kernels on both devices take it by value.
//
//   one list [N]      num_lists = 1, width = N
//   padded   [B, N]   list b starts at slot b * width; `lengths` or `mask` mark the real items
//   flat     [T]      list b is [offsets[b], offsets[b + 1])
//
// A slot that is no real item is padding: its contents have no effect.
#pragma once

#include <cstdint>

#include "common/platform.h"

namespace fused_rankloss {

// int32 or int64 indices, as the caller passes them.
struct IndexArray {
  const void* data = nullptr;
  bool is_int64 = true;

  FRL_HD int64_t operator[](int64_t i) const {
    return is_int64 ? static_cast<const int64_t*>(data)[i] : static_cast<const int32_t*>(data)[i];
  }
  FRL_HD explicit operator bool() const { return data != nullptr; }
};

struct Range {
  int64_t begin;
  int64_t end;

  FRL_HD int64_t size() const { return end - begin; }
};

struct Lists {
  int64_t num_lists = 0;
  int64_t num_slots = 0;
  int64_t width = 0;              // slots per list in the padded form; unused with offsets
  IndexArray offsets;             // [num_lists + 1] or null
  IndexArray lengths;             // [num_lists] or null
  const uint8_t* mask = nullptr;  // [num_slots] or null; non-zero marks a real item

  // The slots that may hold real items of a list. Clamped, so that unchecked offsets or lengths (on
  // a GPU, a check would cost a synchronisation) never lead out of the arrays; `valid` returns
  // whether clamping was unnecessary.
  FRL_HD Range slots(int64_t list) const {
    if (offsets) {
      const int64_t begin = clamp(offsets[list], 0, num_slots);
      return {begin, clamp(offsets[list + 1], begin, num_slots)};
    }
    const int64_t begin = list * width;
    return {begin, begin + (lengths ? clamp(lengths[list], 0, width) : width)};
  }

  // Offsets start at 0, never fall and end at num_slots; lengths lie in [0, width].
  FRL_HD bool valid(int64_t list) const {
    if (offsets) {
      return offsets[list] >= 0 && offsets[list] <= offsets[list + 1] &&
             offsets[list + 1] <= num_slots && (list > 0 || offsets[0] == 0) &&
             (list + 1 < num_lists || offsets[num_lists] == num_slots);
    }
    return !lengths || (lengths[list] >= 0 && lengths[list] <= width);
  }

  FRL_HD bool is_real(int64_t slot) const { return mask == nullptr || mask[slot] != 0; }

  FRL_HD static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : (value > high ? high : value);
  }
};

}  // namespace fused_rankloss
