// SPDX-License-Identifier: BSD-3-Clause
//
// All pairs of two classes when only the minority class is sorted. Let p_0 <= p_1 <= ... be the
// positions of its items and w_r their weights. Let an item of the majority class at x form a
// violated pair with exactly the first k of them, p_{k-1} <= x. (If it forms pairs with the last
// ones, use the mirrored positions -p and -x.) A table of the moments of the gaps up to each p_r,
//
//   C_r = sum_{t<=r} w_t    Q_r = sum_{t<=r} w_t (p_r - p_t)    R_r = sum_{t<=r} w_t (p_r - p_t)^2
//
// gives the moments for any x, with d = x - p_{k-1}: count C, first moment Q + d C, second moment
// R + d (2 Q + d C), of entry k - 1. Conversely, each x adds its weight and its gap d to its
// interval. A running sum from the last interval down then has, at p_r, the moments of all x beyond
// it. Every term is non-negative and built from a difference of neighbours, so that nothing
// cancels.
#pragma once

#include "common/weights.h"
#include "losses/gap_moments.h"

namespace fused_rankloss {

// From the table's entry of the previous item to that of an item `gap` higher.
FRL_HD GapMoments next_entry(GapMoments entry, double gap, double weight) {
  entry.advance(gap);
  entry.push(weight);
  return entry;
}

// The moments of the minority class at an item of the majority class, `gap` beyond the entry's
// item.
FRL_HD GapMoments answer_of(GapMoments entry, double gap) {
  entry.advance(gap);
  return entry;
}

// The contribution of a majority item to its interval. The sum over intervals is used for slopes
// only, so that the second moment is left out.
FRL_HD void add_to_interval(GapMoments& interval, double gap, double weight) {
  interval.count += weight;
  interval.first += gap > 0 ? weighted(weight, gap) : 0;
}

// From the moments at p_{r+1} of all items beyond it to those at p_r, which is `gap` lower. The
// items in between are those of `interval`.
FRL_HD GapMoments previous_entry(GapMoments beyond, double gap, const GapMoments& interval) {
  beyond.advance(gap);
  beyond.add(interval);
  return beyond;
}

// The hinge without weights needs, besides sum k d, only integer counts per interval: all items of
// interval r share Q_r.
FRL_HD double shared_sum(double items, const GapMoments& entry) {
  return items > 0 ? items * entry.first : 0;
}

}  // namespace fused_rankloss
