// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of lambda losses, each compiled in one file. dispatch.cuh chooses among them.
#pragma once

#include "args/lambda.h"
#include "cuda/lambda/policy.h"
#include "cuda/lists/partials.cuh"
#include "losses/lambda_features.h"

namespace fused_rankloss::cuda::lambda {

// Launches the kernel for lists of up to `longest` slots, at most kShortLambda. It finishes the
// call, unless `partials` are given for the kernels of longer lists, which are launched after it.
// Instantiated in short.cu.
template <class Queue>
void run_short_lambda(Queue& queue, const LambdaArgs& args, int64_t longest,
                      const uint32_t* weight_exponents, const ListPartials& partials);

// Launches the kernels for lists of more than `partials.crossover` slots, which also finish the
// call; the kernel of the other lists is launched before. `scans`: a scan sums the pairs, whose
// weights must factor. Instantiated in long.cu.
template <class Queue>
void run_long_lambda(Queue& queue, const LambdaArgs& args, const uint32_t* weight_exponents,
                     const ListPartials& partials, bool scans);

template <typename Real>
struct RankedLists;
struct OrderedPairs;

// Whether scan.cuh sums a call's pairs: logistic terms of pairs with different labels. Weights
// factor if gains increase with the labels and discounts decrease with the ranks. Given gains and
// discounts may not, and the host cannot read them.
inline bool scan_factors(const LambdaArgs& args) {
  if (args.pair_loss != PairLoss::kLogistic || args.all_pairs()) return false;
  if (scan_features(args.scheme) == 0 || args.score_normalization) return false;
  if (args.k > 0 && args.k <= kDirectTop) return false;
  return args.scheme != Scheme::kLambdaRank || (args.gains == nullptr && args.discounts == nullptr);
}

// Launches the scan over the lists of a table. `most_lists`: upper bound on the number of long
// lists. With `adds_losses`, for weights that factor, it adds to the gradients and stores the sums
// of pairs. Unless `ordered` is null, it counts ordered pairs. Instantiated in scan.cu. Real is the
// compute type of scores.
template <class Queue, typename Real>
void run_lambda_scan(Queue& queue, const LambdaArgs& args, int64_t most_lists, bool adds_losses,
                     const RankedLists<Real>& items, OrderedPairs* ordered);

}  // namespace fused_rankloss::cuda::lambda
