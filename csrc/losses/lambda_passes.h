// SPDX-License-Identifier: BSD-3-Clause
//
// The sweeps over two sides, the more and the less relevant items of some pairs, that sum a lambda
// loss whose weights factor (lambda_features.h).
//
// (g_i - g_j)(d_i - d_j) has the sign of the *ranks*, which is that of the scores except for ties:
// a pair in the wrong order of ranks counts with a factor of -1. The logistic loss distinguishes
// those pairs anyway, in a sweep by rank. The hinges take two sweeps: one over all pairs within the
// margin, in the order of s_i and s_j + margin, and one over those in the wrong order of ranks,
// with factor -2.
//
// Truncation. The upper one of two ranks must lie in the top. In the sweep from the highest score,
// only items of the top push; in the sweep back, only items of the top query. Pairs within a margin
// have no upper item. They take two sweeps: one for the top as the more relevant items against all,
// and one for the rest against the top as the less relevant items.
#pragma once

#include "common/platform.h"

namespace fused_rankloss {

enum class RankPart { kAll, kTop, kRest };

FRL_HD bool is_in(RankPart part, bool in_top) {
  return part == RankPart::kAll || in_top == (part == RankPart::kTop);
}

struct ScanPass {
  bool by_rank;         // else in the order of s_i and s_j + margin
  double right;         // factor of pairs in the right order
  double wrong;         // factor of pairs in the wrong order, or within the margin
  RankPart more_ranks;  // ranks of the more relevant items
  RankPart less_ranks;  // ranks of the less relevant items
  bool upper_in_top;    // whether the upper rank of a pair must lie in the top
  double shift;         // added to the positions of less relevant items
  double margin;        // added to the gaps, besides the shift
};

struct ScanPasses {
  static constexpr int kMost = 3;

  ScanPass at[kMost];
  int size = 0;
};

// `is_signed`: the weights are those of lambdarank. `truncated`: some ranks may be beyond the top.
FRL_HD ScanPasses scan_passes(bool is_logistic, bool is_signed, bool truncated, double margin) {
  constexpr RankPart kAll = RankPart::kAll, kTop = RankPart::kTop, kRest = RankPart::kRest;
  ScanPasses passes;
  const auto add = [&passes](const ScanPass& pass) { passes.at[passes.size++] = pass; };
  if (is_logistic) {
    add({true, 1, is_signed ? -1.0 : 1.0, kAll, kAll, true, 0, 0});
    return passes;
  }
  // For a margin < 0, all violated pairs are in the wrong order.
  const double within = is_signed && margin < 0 ? -1 : 1;
  add({false, 0, within, truncated ? kTop : kAll, kAll, false, margin, 0});
  if (truncated) add({false, 0, within, kRest, kTop, false, margin, 0});
  if (is_signed && margin >= 0) add({true, 0, -2, kAll, kAll, true, 0, margin});
  return passes;
}

}  // namespace fused_rankloss
