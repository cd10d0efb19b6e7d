// SPDX-License-Identifier: BSD-3-Clause
//
// All terms of one anchor, from one number a reference: its key or distance to the anchor. Sorted
// thresholds make a term cost a search instead of a loop: with P positives and M references,
// O((P + M) log P).
//
//   hard       1 term: the positive of greatest key, the negative of smallest
//   semi-hard  P terms: with t the key of a positive, the negative of smallest key > t, else the
//              one of greatest key. Negatives fall into the bucket of the thresholds below them; a
//              threshold's pick is the smallest of all buckets above it.
//   all        P * (M - P) terms: with thresholds t = distance + margin, the hinges of a negative
//   at
//              distance v are sum_{t > v} (t - v), counts and a suffix sum.
//
// Numerics: fp64. A NaN is harder than all numbers; of several the lowest index counts.
// Memory: O(P + M), kept from row to row.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "args/triplet.h"
#include "common/lists.h"

namespace fused_rankloss::cpu::triplet {

// One row of a batch in label order: references [0, num_refs), of which `same` share the anchor's
// label and `self` is the anchor, which is nobody's partner (-1 if it is not among them).
struct RowLayout {
  int64_t num_refs;
  Range same;
  int64_t self;
  const int64_t* index;  // [num_refs], the reference at a position: ties go to the lowest

  int64_t positives() const { return same.size() - (self >= 0); }
  int64_t negatives() const { return num_refs - same.size(); }
  bool has_triplet() const { return positives() > 0 && negatives() > 0; }

  template <typename Body>
  void for_positives(const Body& body) const {
    for (int64_t s = same.begin; s < same.end; ++s) {
      if (s != self) body(s);
    }
  }

  template <typename Body>
  void for_negatives(const Body& body) const {
    for (int64_t s = 0; s < same.begin; ++s) body(s);
    for (int64_t s = same.end; s < num_refs; ++s) body(s);
  }
};

// A reference and its key; the empty pick loses against everything.
struct Pick {
  int64_t position = -1;
  double key = 0;

  // Whether (key, index) is harder than this pick as a positive: greater, then of lower index.
  bool loses_to_positive(double other, int64_t other_at, const int64_t* index) const {
    if (position < 0) return true;
    if (other == key || (other != other && key != key)) return index[other_at] < index[position];
    return other != other || other > key;
  }

  bool loses_to_negative(double other, int64_t other_at, const int64_t* index) const {
    if (position < 0) return true;
    if (other == key || (other != other && key != key)) return index[other_at] < index[position];
    return other != other || other < key;
  }
};

// In ascending order of keys, then of positions; NaN last.
inline void sort_picks(Pick* begin, Pick* end) {
  std::sort(begin, end, [](const Pick& a, const Pick& b) {
    const bool a_nan = a.key != a.key, b_nan = b.key != b.key;
    if (a_nan || b_nan) return a_nan == b_nan ? a.position < b.position : b_nan;
    return a.key != b.key ? a.key < b.key : a.position < b.position;
  });
}

inline Pick hardest_positive(const RowLayout& row, const double* keys) {
  Pick pick;
  row.for_positives([&](int64_t s) {
    if (pick.loses_to_positive(keys[s], s, row.index)) pick = {s, keys[s]};
  });
  return pick;
}

inline Pick hardest_negative(const RowLayout& row, const double* keys) {
  Pick pick;
  row.for_negatives([&](int64_t s) {
    if (pick.loses_to_negative(keys[s], s, row.index)) pick = {s, keys[s]};
  });
  return pick;
}

// What an anchor's terms add up to, and its greatest one.
struct AnchorTerms {
  double value = 0;
  double slope = 0;  // sum of d term / d gap
  double terms = 0;
  double nonzero = 0;
  Pick positive;
  Pick negative;
};

class RowSolver {
 public:
  RowSolver(Distance distance, const TripletTerm& term) : distance_(distance), term_(term) {}

  // From keys [num_refs]. Adds d anchor_sum / d distance to `weights` [num_refs], unless it is
  // null.
  AnchorTerms hard(const RowLayout& row, const double* keys, double* weights) const {
    return hard(hardest_positive(row, keys), hardest_negative(row, keys), weights);
  }

  AnchorTerms hard(const Pick& positive, const Pick& negative, double* weights) const {
    AnchorTerms result;
    result.positive = positive;
    result.negative = negative;
    const double slope = add_term(result, positive.key, negative.key);
    if (weights) {
      weights[positive.position] += slope;
      weights[negative.position] -= slope;
    }
    return result;
  }

  // From keys.
  AnchorTerms semi_hard(const RowLayout& row, const double* keys, double* weights) {
    sort_positives(row, keys);
    const Pick* negatives = semi_hard_picks(row, keys).data();
    return semi_hard(row, static_cast<int64_t>(positives_.size()), positives_.data(), negatives,
                     [&](const Pick& pick, double slope) {
                       if (weights) weights[pick.position] += slope;
                     });
  }

  // From the positives and the negative of each. Calls add(pick, d anchor_sum / d its distance).
  template <typename Add>
  AnchorTerms semi_hard(const RowLayout& row, int64_t count, const Pick* positives,
                        const Pick* negatives, const Add& add) const {
    AnchorTerms result;
    Pick hardest;  // of the terms, by their difference
    for (int64_t k = 0; k < count; ++k) {
      const Pick &positive = positives[k], &negative = negatives[k];
      const double slope = add_term(result, positive.key, negative.key);
      add(positive, slope);
      add(negative, -slope);
      const double difference =
          distance_of_key(distance_, positive.key) - distance_of_key(distance_, negative.key);
      if (hardest.loses_to_positive(difference, positive.position, row.index)) {
        hardest = {positive.position, difference};
        result.positive = positive;
        result.negative = negative;
      }
    }
    return result;
  }

  // From distances and the hardest pair. Adds to `weights` as above.
  AnchorTerms all(const RowLayout& row, const double* distances, const Pick& positive,
                  const Pick& negative, double* weights) {
    AnchorTerms result;
    result.positive = positive;
    result.negative = negative;
    result.terms = static_cast<double>(row.positives()) * static_cast<double>(row.negatives());
    // The hinges are sums of thresholds, which have to be finite; a negative may be infinitely far.
    const bool finite = std::isfinite(positive.key) && std::isfinite(term_.margin);
    if (term_.soft || !finite || negative.key != negative.key) {
      all_direct(row, distances, weights, result);
    } else {
      all_hinges(row, distances, weights, result);
    }
    return result;
  }

  // The positives of a row for semi_hard_picks.
  void sort_positives(const RowLayout& row, const double* values) {
    positives_.clear();
    row.for_positives([&](int64_t s) { positives_.push_back({s, values[s]}); });
    sort_picks(positives_.data(), positives_.data() + positives_.size());
  }

  // The negative of each of the sorted positives.
  const std::vector<Pick>& semi_hard_picks(const RowLayout& row, const double* keys) {
    // buckets_[b]: the smallest key with b thresholds below it.
    buckets_.assign(positives_.size() + 1, Pick{});
    Pick greatest, nan;
    row.for_negatives([&](int64_t s) {
      const double key = keys[s];
      if (key != key) {
        if (nan.loses_to_negative(key, s, row.index)) nan = {s, key};
        return;
      }
      if (greatest.loses_to_positive(key, s, row.index)) greatest = {s, key};
      Pick& bucket = buckets_[below(key)];
      if (bucket.loses_to_negative(key, s, row.index)) bucket = {s, key};
    });
    Pick smallest;
    for (size_t k = positives_.size(); k-- > 0;) {
      // The bucket above threshold k and those above the greater ones.
      const Pick& bucket = buckets_[k + 1];
      if (bucket.position >= 0 &&
          smallest.loses_to_negative(bucket.key, bucket.position, row.index)) {
        smallest = bucket;
      }
      buckets_[k + 1] = smallest.position >= 0 ? smallest : greatest;
    }
    buckets_.erase(buckets_.begin());
    if (nan.position >= 0) std::fill(buckets_.begin(), buckets_.end(), nan);
    return buckets_;
  }

 private:
  double add_term(AnchorTerms& sums, double positive_key, double negative_key) const {
    const double gap = term_.gap(distance_of_key(distance_, positive_key),
                                 distance_of_key(distance_, negative_key));
    const double value = term_.value(gap), slope = term_.slope(gap);
    sums.value += value;
    sums.slope += slope;
    sums.terms += 1;
    sums.nonzero += !(value <= 0);
    return slope;
  }

  // The number of positives with a key < `key`.
  size_t below(double key) const {
    const auto at = std::partition_point(positives_.begin(), positives_.end(),
                                         [key](const Pick& pick) { return pick.key < key; });
    return at - positives_.begin();
  }

  void all_hinges(const RowLayout& row, const double* distances, double* weights,
                  AnchorTerms& result) {
    sort_positives(row, distances);
    const size_t count = positives_.size();
    for (Pick& positive : positives_) positive.key += term_.margin;
    suffix_.assign(count + 1, 0);
    for (size_t k = count; k-- > 0;) suffix_[k] = suffix_[k + 1] + positives_[k].key;
    // Negatives whose first threshold above them, or at least equal to them, is k.
    below_.assign(count + 1, 0);
    reached_.assign(count + 1, 0);
    row.for_negatives([&](int64_t s) {
      const double v = distances[s];
      const size_t first = below(v);
      size_t above = first;
      while (above < count && positives_[above].key == v) ++above;
      const double active = static_cast<double>(count - above);
      const double slope = active + term_.boundary * static_cast<double>(above - first);
      if (active > 0) result.value += suffix_[above] - active * v;
      result.nonzero += active;
      result.slope += slope;
      if (weights) weights[s] -= slope;
      ++reached_[first];
      ++below_[above];
    });
    if (weights == nullptr) return;
    int64_t below = 0, reached = 0;
    for (size_t k = 0; k < count; ++k) {
      below += below_[k];
      reached += reached_[k];
      weights[positives_[k].position] +=
          static_cast<double>(below) + term_.boundary * static_cast<double>(reached - below);
    }
  }

  void all_direct(const RowLayout& row, const double* distances, double* weights,
                  AnchorTerms& result) {
    row.for_positives([&](int64_t p) {
      row.for_negatives([&](int64_t n) {
        const double gap = term_.gap(distances[p], distances[n]);
        const double value = term_.value(gap), slope = term_.slope(gap);
        result.value += value;
        result.slope += slope;
        result.nonzero += !(value <= 0);
        if (weights == nullptr) return;
        weights[p] += slope;
        weights[n] -= slope;
      });
    });
  }

  Distance distance_;
  TripletTerm term_;
  std::vector<Pick> positives_;
  std::vector<Pick> buckets_;
  std::vector<double> suffix_;
  std::vector<int64_t> below_;
  std::vector<int64_t> reached_;
};

}  // namespace fused_rankloss::cpu::triplet
