// SPDX-License-Identifier: BSD-3-Clause
//
// Places of many items among few sorted ones: the inner loops of pairwise/minority.h. The same
// source (bucket_loops.inl) is compiled once per instruction set. Places are integers, and gaps
// single rounded differences: the same bits on all of them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/ordered.h"

namespace fused_rankloss::cpu {

// Items a loop works on at a time: sizes are rounded up to a multiple of it.
inline constexpr int64_t kPlaceChunk = 64;

// The distinct keys of the small class in order, and where to begin a search among them: a monotone
// function maps keys to buckets, and the place of any key of a bucket lies less than 2^steps beyond
// its start. Linear in scores suits most lists; where a few far ones leave one bucket to all
// others, buckets are linear in keys, much as in logarithms.
template <typename Score>
struct PlaceTable {
  using Key = decltype(ordered_key(Score{}));

  const Key* keys;        // [distinct + 2^steps], the largest Key beyond the last
  const int32_t* totals;  // [distinct + 1], items of the first keys; null: one for each key
  const int32_t* starts;  // [last_bucket + 1], number of keys in the buckets before
  Key lowest;             // key
  int32_t last_bucket;
  int steps;
  Key flip;     // all bits where keys are complemented, else none
  Score scale;  // buckets per unit of score, negative where keys are complemented; 0: by keys,
  int shift;    // 2^shift a bucket
};

// Any two keys a <= b of scores, and key 0, have bucket(a) <= bucket(b).
template <typename Score, typename Key>
inline int32_t place_bucket(const PlaceTable<Score>& table, Key key, bool by_scores) {
  if (by_scores) {
    const Score first = value_of_key(static_cast<Key>(table.lowest ^ table.flip));
    const Score score = value_of_key(static_cast<Key>(key ^ table.flip));
    const Score distance = (score - first) * table.scale;
    const Score last = static_cast<Score>(table.last_bucket);
    // NaN, which key 0 may be, is none of these.
    const Score bucket = distance > 0 ? distance : Score{0};
    return static_cast<int32_t>(bucket < last ? bucket : last);
  }
  const Key bucket = ((key < table.lowest ? table.lowest : key) - table.lowest) >> table.shift;
  const Key last = static_cast<Key>(table.last_bucket);
  return static_cast<int32_t>(bucket < last ? bucket : last);
}

// A block of the list's items, some of which belong to the small class. A mirrored search runs from
// the highest score down: keys are complemented.
template <typename Score>
struct PlaceQuery {
  const Score* scores;
  const int64_t* labels;
  int64_t size;
  int64_t small_label;
  double margin;
  bool inclusive;
  bool mirrored;  // the small class is the less relevant one
};

template <typename Score>
struct PlaceLoopsOf {
  using Key = decltype(ordered_key(Score{}));

  // places[t] = the number of items of the small class that item t forms a violated pair with, 0
  // for items of that class. `keys` is scratch; both are [size], rounded up.
  void (*find)(const PlaceQuery<Score>& query, const PlaceTable<Score>& table, Key* keys,
               int32_t* places);

  // gaps[t] = distance from the last of them, whose score is small_scores[places[t]]; anything
  // where there is none. Beyond the block's size, places are 0.
  void (*measure)(const PlaceQuery<Score>& query, const int32_t* places, const Score* small_scores,
                  double* gaps);

  // sum places * gaps, over eight fixed lanes.
  double (*sum)(const int32_t* places, const double* gaps, int64_t size);
};

struct PlaceLoops {
  PlaceLoopsOf<float> floats;
  PlaceLoopsOf<double> doubles;

  template <typename Score>
  const PlaceLoopsOf<Score>& of() const {
    if constexpr (std::is_same_v<Score, float>) {
      return floats;
    } else {
      return doubles;
    }
  }
};

// Those of the chosen instruction set (cpu/simd/isa.h).
const PlaceLoops& place_loops();

}  // namespace fused_rankloss::cpu
