// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/lambda_args.h"
#include "losses/lambda_features.h"

namespace fused_rankloss {

template <typename Real>
struct RankedLists;
struct OrderedPairs;

// A top of so few ranks has its pairs compared directly. A guess.
inline constexpr int64_t kDirectTop = 128;

// Whether lambda_scan.cuh is to add up a call's pairs: logistic ones of two labels. Gains that rise
// with the labels and discounts that fall with the ranks give weights that factor; given ones are
// known to the device alone, and may not.
inline bool scan_factors(const LambdaArgs& args) {
  if (args.pair_loss != PairLoss::kLogistic || args.all_pairs()) return false;
  if (scan_features(args.scheme) == 0 || args.score_normalization) return false;
  if (args.k > 0 && args.k <= kDirectTop) return false;
  return args.scheme != Scheme::kLambdaRank || (args.gains == nullptr && args.discounts == nullptr);
}

// The scan over the lists of a table, which `most_lists` may be in. With `adds_losses`, where
// weights factor, it adds to the gradients and stores the sums of pairs; `ordered`, unless it is
// null, gets counts. lambda_scan.cu compiles it for a GPU. Real is the type that scores are
// computed in.
template <class Queue, typename Real>
void run_lambda_scan(Queue& queue, const LambdaArgs& args, int64_t most_lists, bool adds_losses,
                     const RankedLists<Real>& items, OrderedPairs* ordered);

}  // namespace fused_rankloss
