// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/lambda_args.h"
#include "losses/lambda_features.h"

namespace fused_rankloss {

template <typename Real>
struct RankedLists;
class LaunchScope;

// Positions are numbered by 30 bits in a scan.
inline constexpr int64_t kMostScanPositions = (int64_t{1} << 30) - 1;

// A top of so few ranks has its pairs compared directly. A prediction: a round of lambdarank takes
// some 1,600 instructions of fp64 an item, three rounds what an H100 does for 170 pairs.
inline constexpr int64_t kDirectTop = 128;

// Whether lambda_scan.cuh is to add up a call's pairs. Gains that rise with the labels and
// discounts that fall with the ranks give weights that factor; given ones are known to the device
// alone, and may not. The hinges of ndcg_loss1 would need two places in an order for each item.
inline bool scan_factors(const LambdaArgs& args) {
  if (scan_features(args.scheme) == 0 || args.score_normalization) return false;
  if (args.lists.num_slots > kMostScanPositions) return false;
  if (args.k > 0 && args.k <= kDirectTop) return false;
  if (args.scheme == Scheme::kLambdaRank) {
    return args.gains == nullptr && args.discounts == nullptr;
  }
  return !args.all_pairs() || args.pair_loss == PairLoss::kLogistic;
}

// The workspace of a scan, and its one launch, which adds to the gradients of the lists of the
// table and stores their sums. `most_lists` may be long. Scores of fp64 come with Real = double,
// others as float.
int64_t lambda_scan_bytes(const LambdaArgs& args, int64_t most_lists);
template <typename Real>
void launch_lambda_scan(const LambdaArgs& args, int64_t most_lists, const RankedLists<Real>& items,
                        void* workspace, const LaunchScope& scope);

}  // namespace fused_rankloss
