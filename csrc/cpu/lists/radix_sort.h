// SPDX-License-Identifier: BSD-3-Clause
//
// Least-significant-digit radix sort of (key, index) items: stable, and therefore the same result
// whatever the number of threads.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/lists/parallel.h"

namespace fused_rankloss::cpu {

// An item of a list: an order-preserving key of its score (or label), and its slot in the list.
template <typename Key>
struct Item {
  Key key;
  Key index;
};

namespace radix {

// Wide digits save passes where there are many items to count; narrow ones are cheap to clear.
inline constexpr int kMaxDigitBits = 11;
inline constexpr int kNarrowDigitBits = 8;
inline constexpr int64_t kWideDigits = 1 << 12;
// Below this a comparison sort is faster than clearing and scanning the counters.
inline constexpr int64_t kComparisonSort = 128;
// Below this the hand-over between threads costs more than it saves.
inline constexpr int64_t kParallelSort = 1 << 17;

struct Digit {
  int shift;
  int bits;

  template <typename Key>
  size_t operator()(Key key) const {
    return static_cast<size_t>(key >> shift) & ((size_t{1} << bits) - 1);
  }
};

using Counters = std::array<int64_t, 1 << kMaxDigitBits>;

// The bits in which keys differ, as few digits of about equal width.
template <typename Key>
std::vector<Digit> digits_of(int64_t size, Key differing) {
  if (differing == 0) return {};
  const int low = std::countr_zero(differing);
  const int bits = static_cast<int>(8 * sizeof(Key)) - std::countl_zero(differing) - low;
  const int most = size < kWideDigits ? kNarrowDigitBits : kMaxDigitBits;
  const int passes = (bits + most - 1) / most;
  std::vector<Digit> digits;
  for (int pass = 0; pass < passes; ++pass) {
    const int begin = bits * pass / passes, end = bits * (pass + 1) / passes;
    digits.push_back({low + begin, end - begin});
  }
  return digits;
}

template <typename Key>
void count(const Item<Key>* items, int64_t size, Digit digit, Counters& counters) {
  std::fill_n(counters.begin(), size_t{1} << digit.bits, 0);
  for (int64_t i = 0; i < size; ++i) ++counters[digit(items[i].key)];
}

template <typename Key>
void scatter(const Item<Key>* items, int64_t size, Digit digit, Counters& position,
             Item<Key>* out) {
  for (int64_t i = 0; i < size; ++i) out[position[digit(items[i].key)]++] = items[i];
}

// Turns the counters of every part into the positions where its buckets start.
inline void positions(std::vector<Counters>& parts, Digit digit) {
  int64_t next = 0;
  for (size_t bucket = 0; bucket < size_t{1} << digit.bits; ++bucket) {
    for (Counters& part : parts) next += std::exchange(part[bucket], next);
  }
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
  std::vector<Key> differing(num_parts);
  const auto bound = [&](int64_t part) { return size * part / num_parts; };
  team.run(num_parts, [&](int64_t part, int) {
    Key bits = 0;
    for (int64_t i = bound(part); i < bound(part + 1); ++i) bits |= items[i].key ^ items[0].key;
    differing[part] = bits;
  });
  Key all_differing = 0;
  for (const Key bits : differing) all_differing |= bits;
  for (const radix::Digit digit : radix::digits_of(size, all_differing)) {
    team.run(num_parts, [&](int64_t part, int) {
      const int64_t begin = bound(part);
      radix::count(items + begin, bound(part + 1) - begin, digit, parts[part]);
    });
    radix::positions(parts, digit);
    team.run(num_parts, [&](int64_t part, int) {
      const int64_t begin = bound(part);
      radix::scatter(items + begin, bound(part + 1) - begin, digit, parts[part], scratch);
    });
    std::swap(items, scratch);
  }
  return items;
}

}  // namespace fused_rankloss::cpu
