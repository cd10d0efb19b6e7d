// SPDX-License-Identifier: BSD-3-Clause
//
// Least-significant-digit radix sort of (key, index) items: stable, and therefore the same result
// whatever the number of threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "cpu/parallel.h"

namespace fused_rankloss::cpu {

// An item of a list: an order-preserving key of its score (or label), and its slot in the list.
template <typename Key>
struct Item {
  Key key;
  Key index;
};

namespace radix {

inline constexpr int kDigitBits = 8;
inline constexpr int kBuckets = 1 << kDigitBits;
// Below this a comparison sort is faster than clearing and scanning the counters.
inline constexpr int64_t kComparisonSort = 128;
// Below this the hand-over between threads costs more than it saves.
inline constexpr int64_t kParallelSort = 1 << 15;

using Counters = std::array<int64_t, kBuckets>;

template <typename Key>
int digit(Key key, int shift) {
  return static_cast<int>(key >> shift) & (kBuckets - 1);
}

template <typename Key>
void count(const Item<Key>* items, int64_t size, int shift, Counters& counters) {
  counters.fill(0);
  for (int64_t i = 0; i < size; ++i) ++counters[digit(items[i].key, shift)];
}

template <typename Key>
void scatter(const Item<Key>* items, int64_t size, int shift, Counters& position, Item<Key>* out) {
  for (int64_t i = 0; i < size; ++i) out[position[digit(items[i].key, shift)]++] = items[i];
}

// Turns the counters of every part into the positions where its buckets start. False if all items
// share one bucket, so that the pass would move nothing.
inline bool positions(std::vector<Counters>& parts, int64_t size) {
  int64_t next = 0;
  for (int bucket = 0; bucket < kBuckets; ++bucket) {
    const int64_t first = next;
    for (Counters& part : parts) {
      const int64_t count = part[bucket];
      part[bucket] = next;
      next += count;
    }
    if (next - first == size) return false;
  }
  return true;
}

}  // namespace radix

// Sorts `items` by key; equal keys keep their order. `scratch` has the same size. Returns the one
// of the two that holds the result.
template <typename Key>
Item<Key>* radix_sort(Item<Key>* items, Item<Key>* scratch, int64_t size, const Team& team) {
  if (size < radix::kComparisonSort) {
    std::stable_sort(items, items + size,
                     [](const Item<Key>& a, const Item<Key>& b) { return a.key < b.key; });
    return items;
  }
  const int num_parts = size < radix::kParallelSort ? 1 : team.size();
  std::vector<radix::Counters> parts(num_parts);
  const auto bound = [&](int64_t part) { return size * part / num_parts; };
  for (int shift = 0; shift < static_cast<int>(8 * sizeof(Key)); shift += radix::kDigitBits) {
    team.run(num_parts, [&](int64_t part, int) {
      const int64_t begin = bound(part);
      radix::count(items + begin, bound(part + 1) - begin, shift, parts[part]);
    });
    if (!radix::positions(parts, size)) continue;
    team.run(num_parts, [&](int64_t part, int) {
      const int64_t begin = bound(part);
      radix::scatter(items + begin, bound(part + 1) - begin, shift, parts[part], scratch);
    });
    std::swap(items, scratch);
  }
  return items;
}

}  // namespace fused_rankloss::cpu
