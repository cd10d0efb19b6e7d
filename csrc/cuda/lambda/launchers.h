// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of lambda losses, each compiled in one file. dispatch.cuh chooses among them.
#pragma once

#include "args/lambda.h"
#include "cuda/lambda/policy.h"
#include "cuda/lists/partials.cuh"
#include "losses/lambda_features.h"

namespace fused_rankloss::cuda::lambda {

// The kernel of lists of up to `longest` slots, kShortLambda at most. It finishes the call, unless
// there are `partials` for the kernels of the longer lists, which come after it. short.cu
// compiles it for a GPU.
template <class Queue>
void run_short_lambda(Queue& queue, const LambdaArgs& args, int64_t longest,
                      const uint32_t* weight_exponents, const ListPartials& partials);

// The kernels of lists of more than `partials.crossover` slots, which also finish the call; that of
// the other lists comes first. `scans`: pairs whose weights factor are added up by a scan.
// long.cu compiles it for a GPU.
template <class Queue>
void run_long_lambda(Queue& queue, const LambdaArgs& args, const uint32_t* weight_exponents,
                     const ListPartials& partials, bool scans);

template <typename Real>
struct RankedLists;
struct OrderedPairs;

// Whether scan.cuh is to add up a call's pairs: logistic ones of two labels. Gains that rise
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
// null, gets counts. scan.cu compiles it for a GPU. Real is the type that scores are
// computed in.
template <class Queue, typename Real>
void run_lambda_scan(Queue& queue, const LambdaArgs& args, int64_t most_lists, bool adds_losses,
                     const RankedLists<Real>& items, OrderedPairs* ordered);

}  // namespace fused_rankloss::cuda::lambda
