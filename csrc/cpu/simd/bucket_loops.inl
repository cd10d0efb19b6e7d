// SPDX-License-Identifier: BSD-3-Clause
//
// Part of all_loops.inl, under its rules.

inline constexpr int64_t kLanes = 8;

inline int64_t rounded_up(int64_t size) {
  return (size + kBucketChunk - 1) / kBucketChunk * kBucketChunk;
}

// Key 0 lies below every key of the table.
template <typename Score, typename Key>
void load_keys(const BucketQuery<Score>& query, Key* __restrict keys) {
  const Score* __restrict scores = query.scores;
  const int64_t* __restrict labels = query.labels;
  const int64_t size = query.size, minority_label = query.minority_label;
  if (query.mirrored) {
    for (int64_t t = 0; t < size; ++t) keys[t] = ~ordered_key(scores[t]);
  } else {
    const double margin = query.margin;
    const bool inclusive = query.inclusive;
    for (int64_t t = 0; t < size; ++t) keys[t] = ordered_key(reach(scores[t], margin, inclusive));
  }
  for (int64_t t = 0; t < size; ++t) keys[t] = labels[t] == minority_label ? 0 : keys[t];
  for (int64_t t = size; t < rounded_up(size); ++t) keys[t] = 0;
}

// out[t] = from[index[t]] for a chunk. No intrinsics: gathers are slow on many processors.
template <typename T>
void gather(const T* from, const int32_t* index, T* __restrict out) {
  for (int64_t t = 0; t < kBucketChunk; ++t) out[t] = from[index[t]];
}

template <bool kByScores, typename Score, typename Key>
void load_starts(const BucketTable<Score>& table, const Key* keys, int32_t* __restrict places) {
  const BucketTable<Score> fixed = table;
  int32_t buckets[kBucketChunk];
  for (int64_t t = 0; t < kBucketChunk; ++t) buckets[t] = bucket_of(fixed, keys[t], kByScores);
  gather(fixed.starts, buckets, places);
}

// Searches for all items of a chunk in lockstep: without branches, and with independent loads.
template <typename Score, typename Key>
void find(const BucketQuery<Score>& query, const BucketTable<Score>& table, Key* keys,
          int32_t* __restrict places) {
  load_keys(query, keys);
  const Key* sorted = table.keys;
  for (int64_t begin = 0; begin < query.size; begin += kBucketChunk) {
    const Key* chunk = keys + begin;
    int32_t place[kBucketChunk];
    Key middle[kBucketChunk];
    if (table.scale != 0) {
      load_starts<true>(table, chunk, place);
    } else {
      load_starts<false>(table, chunk, place);
    }
    for (int32_t half = int32_t{1} << (table.steps - 1); half > 0; half >>= 1) {
      gather(sorted + half - 1, place, middle);
      for (int64_t t = 0; t < kBucketChunk; ++t) place[t] += middle[t] <= chunk[t] ? half : 0;
    }
    if (table.totals != nullptr) {
      gather(table.totals, place, places + begin);
    } else {
      for (int64_t t = 0; t < kBucketChunk; ++t) places[begin + t] = place[t];
    }
  }
}

template <typename Score>
void measure(const BucketQuery<Score>& query, const int32_t* places, const Score* small_scores,
             double* __restrict gaps) {
  const double margin = query.margin;
  if (query.mirrored) {
    for (int64_t t = 0; t < query.size; ++t) {
      gaps[t] = margin - (query.scores[t] - static_cast<double>(small_scores[places[t]]));
    }
  } else {
    for (int64_t t = 0; t < query.size; ++t) {
      gaps[t] = margin - (static_cast<double>(small_scores[places[t]]) - query.scores[t]);
    }
  }
}

inline double sum_products(const int32_t* places, const double* gaps, int64_t size) {
  double sums[kLanes] = {};
  const auto add = [&](int64_t t, int64_t lane) {
    // 0 if one factor is 0, even if the other is infinite or NaN.
    const double term = places[t] * gaps[t];
    sums[lane] += ((places[t] > 0) & (gaps[t] > 0)) ? term : 0;
  };
  const int64_t whole = size - size % kLanes;
  for (int64_t t = 0; t < whole; t += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) add(t + lane, lane);
  }
  for (int64_t t = whole; t < size; ++t) add(t, t - whole);
  double sum = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) sum += sums[lane];
  return sum;
}

template <typename Score>
constexpr BucketLoopsOf<Score> loops_of() {
  return {find<Score, typename BucketLoopsOf<Score>::Key>, measure<Score>, sum_products};
}
