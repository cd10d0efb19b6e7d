// SPDX-License-Identifier: BSD-3-Clause
//
// Insertion positions (places) of many items among few sorted ones: the inner loops of
// pairwise/minority.h. The same source (bucket_loops.inl) is compiled once per instruction set.
// Places are integers, and gaps are single rounded differences: all instruction sets give the same
// bits.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/ordered.h"

namespace fused_rankloss::cpu {

// Items per iteration of a loop: sizes are rounded up to a multiple of it.
inline constexpr int64_t kBucketChunk = 64;

// The distinct keys of the minority class in order, and where to start a search among them. A
// monotone function maps keys to buckets. The place of any key of a bucket is less than 2^steps
// beyond the start of the bucket. Buckets are linear in scores, which suits most lists. If outliers
// leave one bucket to all other scores, buckets are linear in keys, which is close to logarithmic.
template <typename Score>
struct BucketTable {
  using Key = decltype(ordered_key(Score{}));

  const Key* keys;        // [distinct + 2^steps], filled up with the largest Key
  const int32_t* totals;  // [distinct + 1], number of items of the first keys; null: one per key
  const int32_t* starts;  // [last_bucket + 1], number of keys in the buckets before
  Key lowest;             // the smallest key
  int32_t last_bucket;
  int steps;
  Key flip;     // all bits if keys are complemented, else none
  Score scale;  // buckets per unit of score, negative if keys are complemented; 0: by keys,
  int shift;    // 2^shift keys per bucket
};

// Any two keys a <= b of scores, and key 0, have bucket(a) <= bucket(b).
template <typename Score, typename Key>
inline int32_t bucket_of(const BucketTable<Score>& table, Key key, bool by_scores) {
  if (by_scores) {
    const Score first = value_of_key(static_cast<Key>(table.lowest ^ table.flip));
    const Score score = value_of_key(static_cast<Key>(key ^ table.flip));
    const Score distance = (score - first) * table.scale;
    const Score last = static_cast<Score>(table.last_bucket);
    // NaN, which key 0 may be, compares false.
    const Score bucket = distance > 0 ? distance : Score{0};
    return static_cast<int32_t>(bucket < last ? bucket : last);
  }
  const Key bucket = ((key < table.lowest ? table.lowest : key) - table.lowest) >> table.shift;
  const Key last = static_cast<Key>(table.last_bucket);
  return static_cast<int32_t>(bucket < last ? bucket : last);
}

// A block of the list's items, some of which belong to the minority class. A mirrored search runs
// from the highest score down: keys are complemented.
template <typename Score>
struct BucketQuery {
  const Score* scores;
  const int64_t* labels;
  int64_t size;
  int64_t minority_label;
  double margin;
  bool inclusive;
  bool mirrored;  // the minority class is the less relevant one
};

template <typename Score>
struct BucketLoopsOf {
  using Key = decltype(ordered_key(Score{}));

  // places[t] = the number of minority items that item t forms a violated pair with; 0 if item t is
  // a minority item. `keys` is scratch. Both arrays have `size` elements, rounded up.
  void (*find)(const BucketQuery<Score>& query, const BucketTable<Score>& table, Key* keys,
               int32_t* places);

  // gaps[t] = distance from the last of them, whose score is small_scores[places[t]]; undefined if
  // there is none. Beyond the block's size, places are 0.
  void (*measure)(const BucketQuery<Score>& query, const int32_t* places, const Score* small_scores,
                  double* gaps);

  // sum places * gaps, in eight fixed lanes.
  double (*sum)(const int32_t* places, const double* gaps, int64_t size);
};

struct BucketLoops {
  BucketLoopsOf<float> floats;
  BucketLoopsOf<double> doubles;

  template <typename Score>
  const BucketLoopsOf<Score>& of() const {
    if constexpr (std::is_same_v<Score, float>) {
      return floats;
    } else {
      return doubles;
    }
  }
};

// Those of the chosen instruction set (cpu/simd/isa.h).
const BucketLoops& bucket_loops();

}  // namespace fused_rankloss::cpu
