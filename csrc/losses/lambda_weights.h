// SPDX-License-Identifier: BSD-3-Clause
//
// The weight of a pair (i, j) in a lambda loss, from gains g (divided by the maximal DCG), ranks r
// and discounts d of the two items:
//
//   none         1
//   arp          y_i - y_j
//   ndcg_loss1   g_i d_i, over all (i, j)
//   lambdarank   |g_i - g_j| |d_i - d_j|
//   ndcg_loss2   |g_i - g_j| delta(|r_i - r_j|),  delta(t) = |d(t) - d(t + 1)|, delta(0) = 0
//   ndcg_loss2++ |g_i - g_j| (mu delta(|r_i - r_j|) + |d_i - d_j|)
//
// Sources: Burges, "From RankNet to LambdaRank to LambdaMART" (2010); Wang et al., "The LambdaLoss
// framework for ranking metric optimization" (2018).
#pragma once

#include <cmath>
#include <cstdint>

#include "common/platform.h"

namespace fused_rankloss {

enum class Scheme : int32_t { kNone, kArp, kLambdaRank, kNdcgLoss1, kNdcgLoss2, kNdcgLoss2pp };

enum class Truncation : int32_t {
  kEither,    // at least one of the two ranks <= k
  kBoth,      // both
  kDiscount,  // as kEither, and no discount beyond k
};

// The attributes of an item besides its score.
struct LambdaItem {
  double gain;
  double discount;
  int32_t rank;
};

// The schemes by the attributes that a kernel must load. Item weights include all factors that
// depend on one item only.

// none, ndcg_loss1
struct UnitWeight {
  FRL_HD static double of(const LambdaItem&, const LambdaItem&, const double* /*delta*/) {
    return 1;
  }
};

// arp, with labels for gains
struct GainWeight {
  FRL_HD static double of(const LambdaItem& i, const LambdaItem& j, const double* /*delta*/) {
    return fabs(i.gain - j.gain);
  }
};

// lambdarank
struct DeltaNdcgWeight {
  FRL_HD static double of(const LambdaItem& i, const LambdaItem& j, const double* /*delta*/) {
    return fabs(i.gain - j.gain) * fabs(i.discount - j.discount);
  }
};

// ndcg_loss2 (with discounts of 0) and ndcg_loss2++. `delta`, an array or an object with
// operator[], contains the factor mu.
struct RankDistanceWeight {
  template <typename Delta>
  FRL_HD static double of(const LambdaItem& i, const LambdaItem& j, const Delta& delta) {
    const int32_t distance = i.rank > j.rank ? i.rank - j.rank : j.rank - i.rank;
    return fabs(i.gain - j.gain) * (delta[distance] + fabs(i.discount - j.discount));
  }
};

// The factor of a list's sum with list normalisation, from the sum of absolute slopes, each counted
// for both items.
FRL_HD double list_normalizer(double slopes) { return slopes > 0 ? log2(1 + slopes) / slopes : 1; }

}  // namespace fused_rankloss
