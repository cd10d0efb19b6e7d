// SPDX-License-Identifier: BSD-3-Clause
//
// From the terms of each anchor to the loss.
//
// Mapping      a thread an anchor
// Memory       reads two distances or one AnchorTerms an anchor, writes its slope
// Numerics     fp64
// Determinism  sums in a fixed order, term_sums.cuh
#pragma once

#include "cuda/triplet/ordered_batch.cuh"

namespace fused_rankloss::cuda::triplet {

// What an anchor's terms add up to.
struct AnchorTerms {
  double value = 0;
  double slope = 0;  // sum of d term / d gap
  double terms = 0;
  double nonzero = 0;
};

struct AnchorTermsParams {
  BatchTripletArgs args;
  const AnchorTerms* terms;  // [N] by index; null: one term, of the mined pair
  TermPartials partials;
};

template <typename Loss>
__global__ void __launch_bounds__(kTripletThreads)
    anchor_terms_kernel(const __grid_constant__ AnchorTermsParams params) {
  const BatchTripletArgs& args = params.args;
  const int64_t num_anchors = args.batch.num_anchors;
  const TripletTerm term = args.term.term();
  const bool none = args.reduction == TripletReduction::kNone;
  Loss* const loss = static_cast<Loss*>(args.loss);
  TermSums sums;
  for (int64_t anchor = int64_t{blockIdx.x} * kTripletThreads + threadIdx.x; anchor < num_anchors;
       anchor += int64_t{gridDim.x} * kTripletThreads) {
    AnchorTerms own;
    if (params.terms != nullptr) {
      own = params.terms[anchor];
    } else if (args.positive[anchor] >= 0) {
      const double gap = term.gap(args.distances[anchor], args.distances[num_anchors + anchor]);
      own.value = term.value(gap);
      own.slope = term.slope(gap);
      own.terms = 1;
      own.nonzero = own.value <= 0 ? 0.0 : 1.0;
    }
    args.slope[anchor] = own.slope;
    if (none) loss[anchor] = static_cast<Loss>(own.value);
    sums.add({own.value, own.terms, own.nonzero});
  }
  sum_over_grid(params.partials, sums, [&](const TermSums& total) {
    const double scale = reduction_scale(args.reduction, total.terms, total.nonzero);
    *args.anchor_scale = scale;
    if (!none) *loss = static_cast<Loss>(scale * total.value);
  });
}

template <class Queue>
void launch_anchor_terms(Queue& queue, const BatchTripletArgs& args, const AnchorTerms* terms) {
  const int64_t blocks = sum_blocks(ceil_div(args.batch.num_anchors, kTripletThreads));
  const AnchorTermsParams params{args, terms, new_term_partials(queue, blocks)};
  queue.launch(blocks, kTripletThreads,
               args.batch.type == ScoreType::kDouble ? anchor_terms_kernel<double>
                                                     : anchor_terms_kernel<float>,
               params);
}

}  // namespace fused_rankloss::cuda::triplet
