// SPDX-License-Identifier: BSD-3-Clause
//
// Pair weights as sums of products: the features that an item pushes for later items, and the
// factors by which it multiplies the sums that it queries. With i the more and j the less relevant
// item:
//
//   none, ndcg_loss1   w_i w_j                              1 feature
//   arp                w_i w_j (y_i - y_j)                  2
//   lambdarank         w_i w_j (g_i - g_j)(d_i - d_j)       4
//
// Feature f of an item is its weight, times its gain (the label for arp) if f is odd, times its
// discount if f has bit 1.
#pragma once

#include "losses/lambda_weights.h"

namespace fused_rankloss {

// 0 for schemes whose weights do not factor.
FRL_HD int scan_features(Scheme scheme) {
  switch (scheme) {
    case Scheme::kNone:
    case Scheme::kNdcgLoss1:
      return 1;
    case Scheme::kArp:
      return 2;
    case Scheme::kLambdaRank:
      return 4;
    default:
      return 0;
  }
}

FRL_HD double pushed_feature(int feature, double weight, double gain, double discount) {
  double product = weight;
  if ((feature & 1) != 0) product *= gain;
  if ((feature & 2) != 0) product *= discount;
  return product;
}

// The factor of the querying item for the sum of feature `feature` of `features`: the rest of the
// product, with the sign of the difference.
FRL_HD double queried_feature(int features, int feature, bool is_more, double weight, double gain,
                              double discount) {
  const double product = pushed_feature(features - 1 - feature, weight, gain, discount);
  bool negative = feature == 1 || feature == 2;
  if (features == 2 && !is_more) negative = !negative;
  return negative ? -product : product;
}

}  // namespace fused_rankloss
