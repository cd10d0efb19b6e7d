// SPDX-License-Identifier: BSD-3-Clause
//
// What the items of a list add up to before they meet in pairs: its DCG, the greatest one that any
// order reaches, and the summed weights of its pairs, of which a stretch of items in ascending
// order of labels is enough to know
//
//   the pairs within the stretch
//   the weights of its lowest level, as the more relevant ones, and of all others
//   the weights of its highest level, as the less relevant ones, and of all others
//
// since two neighbouring stretches can share no level but the highest of one and lowest of the
// other. Nothing is subtracted: all sums are as exact as their terms.
//
// Determinism  stretches combine in an order that depends on the list alone
#pragma once

#include "cuda/lists/score_order.cuh"
#include "cuda/primitives/block_scan.cuh"

namespace fused_rankloss::cuda::lambda {

// Summed weights of items by whether their ranks lie in the top.
struct RankWeights {
  double top = 0;
  double rest = 0;

  FRL_HD RankWeights operator+(const RankWeights& other) const {
    return {top + other.top, rest + other.rest};
  }
  template <typename Shuffle>
  __device__ __forceinline__ RankWeights shuffled(Shuffle shuffle) const {
    return {shuffle(top), shuffle(rest)};
  }
};

// Of all pairs of two items, those of which at least one is in the top.
FRL_HD double pair_weights(const RankWeights& more, const RankWeights& less) {
  return more.top * (less.top + less.rest) + more.rest * less.top;
}

struct ListTotals {
  double dcg = 0;
  double max_dcg = 0;
  double pairs = 0;
  RankWeights lowest_more, other_more;
  RankWeights highest_less, other_less;
  uint32_t lowest = kInertRank;  // levels; kInertRank where the stretch has no item
  uint32_t highest = kInertRank;

  FRL_HD bool is_empty() const { return lowest == kInertRank; }

  // The weights of all pairs of two items, whatever their labels, an item with itself too.
  FRL_HD double all_pairs() const {
    return pair_weights(lowest_more + other_more, highest_less + other_less);
  }

  FRL_HD static ListTotals combine(const ListTotals& a, const ListTotals& b) {
    ListTotals sum = b.is_empty() ? a : b;
    if (!a.is_empty() && !b.is_empty()) {
      // Of the two levels that meet, if they are one.
      const bool shared = a.highest == b.lowest;
      const RankWeights a_less = a.highest_less + a.other_less;
      sum.pairs = a.pairs + b.pairs + pair_weights(b.other_more, a_less) +
                  pair_weights(b.lowest_more, shared ? a.other_less : a_less);
      const bool one_lowest = a.lowest == b.lowest, one_highest = a.highest == b.highest;
      sum.lowest_more = one_lowest ? a.lowest_more + b.lowest_more : a.lowest_more;
      sum.other_more = a.other_more + b.other_more;
      if (!one_lowest) sum.other_more = sum.other_more + b.lowest_more;
      sum.highest_less = one_highest ? a.highest_less + b.highest_less : b.highest_less;
      sum.other_less = a.other_less + b.other_less;
      if (!one_highest) sum.other_less = sum.other_less + a.highest_less;
      sum.lowest = a.lowest;
      sum.highest = b.highest;
    }
    sum.dcg = a.dcg + b.dcg;
    sum.max_dcg = a.max_dcg + b.max_dcg;
    return sum;
  }

  template <typename Shuffle>
  __device__ __forceinline__ ListTotals shuffled(Shuffle shuffle) const {
    return {shuffle(dcg),
            shuffle(max_dcg),
            shuffle(pairs),
            lowest_more.shuffled(shuffle),
            other_more.shuffled(shuffle),
            highest_less.shuffled(shuffle),
            other_less.shuffled(shuffle),
            shuffle(lowest),
            shuffle(highest)};
  }
};

// Lane 0 gets the totals of a warp's stretches, which follow each other by lane. All lanes call
// this.
__device__ __forceinline__ ListTotals combine_warp(ListTotals own) {
#pragma unroll 1
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const ListTotals later = own.shuffled(
        [distance](auto value) { return __shfl_down_sync(kAllLanes, value, distance); });
    own = ListTotals::combine(own, later);
  }
  return own;
}

}  // namespace fused_rankloss::cuda::lambda
