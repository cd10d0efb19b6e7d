// SPDX-License-Identifier: BSD-3-Clause
//
// Makes the table that places are searched in (simd/bucket_loops.h).
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "common/workspace.h"
#include "cpu/pairwise/policy.h"
#include "cpu/simd/bucket_loops.h"

namespace fused_rankloss::cpu::pairwise {

template <typename Score>
class PlaceTableMaker {
 public:
  using Key = decltype(ordered_key(Score{}));

  PlaceTableMaker(Workspace& workspace, int64_t size)
      : size_(size),
        num_buckets_(std::min(kPlaceBuckets * size, kMaxPlaceBuckets)),
        keys_(workspace.take<Key>(size +
                                  (int64_t{1} << std::bit_width(static_cast<uint64_t>(size))))),
        totals_(workspace.take<int32_t>(size + 1)),
        starts_(workspace.take<int32_t>(num_buckets_)) {}

  // Of key_at(0) <= key_at(1) <= ..., complemented if `mirrored`.
  template <typename KeyAt>
  PlaceTable<Score> make(bool mirrored, KeyAt&& key_at) const {
    const int64_t distinct = load_keys(key_at);
    const Key first = keys_[0], last = keys_[distinct - 1];
    PlaceTable<Score> table{};
    table.keys = keys_;
    table.totals = distinct < size_ ? totals_ : nullptr;
    table.starts = starts_;
    table.lowest = first;
    table.last_bucket = static_cast<int32_t>(num_buckets_ - 1);
    table.flip = mirrored ? std::numeric_limits<Key>::max() : Key{0};
    while ((last - first) >> table.shift >= static_cast<Key>(num_buckets_)) ++table.shift;
    int64_t longest = fill_buckets(table, distinct);
    const Score range = value_of_key(static_cast<Key>(last ^ table.flip)) -
                        value_of_key(static_cast<Key>(first ^ table.flip));
    const Score scale = static_cast<Score>(num_buckets_) / range;
    if (std::isfinite(scale) && scale != 0) {
      const int64_t by_keys = longest;
      table.scale = scale;
      longest = fill_buckets(table, distinct);
      if (longest > by_keys) {
        table.scale = 0;
        longest = fill_buckets(table, distinct);
      }
    }
    table.steps = std::bit_width(static_cast<uint64_t>(longest));
    std::fill_n(keys_ + distinct, int64_t{1} << table.steps, std::numeric_limits<Key>::max());
    return table;
  }

 private:
  // Returns the number of distinct keys.
  template <typename KeyAt>
  int64_t load_keys(KeyAt&& key_at) const {
    int64_t distinct = 0;
    totals_[0] = 0;
    for (int64_t r = 0; r < size_; ++r) {
      const Key key = key_at(r);
      distinct += r == 0 || key != keys_[distinct - 1];
      keys_[distinct - 1] = key;
      totals_[distinct] = static_cast<int32_t>(r + 1);
    }
    return distinct;
  }

  // Returns the number of keys in the fullest bucket.
  int64_t fill_buckets(const PlaceTable<Score>& table, int64_t distinct) const {
    int64_t filled = 0, longest = 0, begin = 0;
    for (int64_t d = 0; d < distinct; ++d) {
      const int32_t bucket = place_bucket(table, keys_[d], table.scale != 0);
      if (bucket >= filled) begin = d;
      while (filled <= bucket) starts_[filled++] = static_cast<int32_t>(d);
      longest = std::max(longest, d + 1 - begin);
    }
    std::fill(starts_ + filled, starts_ + num_buckets_, static_cast<int32_t>(distinct));
    return longest;
  }

  int64_t size_;
  int64_t num_buckets_;
  Key* keys_;
  int32_t* totals_;
  int32_t* starts_;
};

}  // namespace fused_rankloss::cpu::pairwise
