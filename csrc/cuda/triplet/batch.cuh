// SPDX-License-Identifier: BSD-3-Clause
//
// Chooses and launches the kernels of the ops on batches.
#pragma once

#include "cuda/triplet/anchor_terms.cuh"
#include "cuda/triplet/batch_hard/operands.cuh"
#include "cuda/triplet/batch_hard/select.cuh"
#include "cuda/triplet/label_order.cuh"
#include "cuda/triplet/semi_hard_gradients.cuh"
#include "cuda/triplet/sweep/gradients.cuh"

namespace fused_rankloss::cuda::triplet {

// Thresholds that tests override, so that small batches take the paths of large ones.
struct BatchTripletPolicy {
  int64_t symmetric_rows = kSymmetricRows;
  int32_t chunk = 0;  // 0: chunk_size()

  int32_t chunk_of(const TripletBatch& batch) const {
    return chunk > 0 ? chunk : chunk_size(batch);
  }
};

template <class Queue>
void run_batch_triplet(Queue& queue, const BatchTripletArgs& args,
                       const BatchTripletPolicy& policy = {}) {
  const TripletBatch& batch = args.batch;
  const OrderedBatch ordered = order_batch(queue, batch);
  const SearchData data = prepare_search(queue, ordered, kSearchTile.rows());
  // The greatest term of all triplets is that of the hardest pair, so batch-all with mined pairs
  // needs the search too.
  if (batch.mining == Mining::kHard || (batch.mining == Mining::kAll && args.needs_mined)) {
    launch_hardest(queue, ordered, data, args, policy.symmetric_rows);
  }
  const AnchorTerms* terms = nullptr;
  if (batch.mining != Mining::kHard) {
    terms = launch_sweeps(queue, ordered, data, args, policy.chunk_of(batch));
  }
  launch_anchor_terms(queue, args, terms);
}

template <class Queue>
void run_batch_triplet_backward(Queue& queue, const BatchTripletBackwardArgs& args,
                                const BatchTripletPolicy& policy = {}) {
  const TripletBatch& batch = args.batch;
  if (batch.mining == Mining::kHard) {
    const MinedTerms terms{1, args.positive, args.negative, args.distances, args.slope};
    launch_mined_gradients(queue, new_mined_params(queue, args, terms));
    return;
  }
  const OrderedBatch ordered = order_batch(queue, batch);
  const SearchData data = prepare_search(queue, ordered, kSearchTile.rows());
  const int32_t chunk = policy.chunk_of(batch);
  if (batch.mining == Mining::kSemiHard) {
    launch_semi_hard_gradients(queue, ordered, data, args, chunk);
  } else {
    launch_sweep_gradients(queue, ordered, data, args, chunk);
  }
}

}  // namespace fused_rankloss::cuda::triplet
