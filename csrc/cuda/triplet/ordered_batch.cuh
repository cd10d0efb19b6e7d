// SPDX-License-Identifier: BSD-3-Clause
//
// A batch in label order: positions are places in that order (label_order.cuh), indices places in
// the tensors.
#pragma once

#include "cuda/triplet/explicit.cuh"

namespace fused_rankloss::cuda::triplet {

struct Positions {
  int32_t begin;
  int32_t end;

  FRL_HD int32_t size() const { return end - begin; }
  FRL_HD bool contains(int64_t position) const { return begin <= position && position < end; }
};

struct OrderedBatch {
  TripletBatch batch;
  const int32_t* anchors = nullptr;         // [N], the index at a position
  const int32_t* refs = nullptr;            // [M]
  const Positions* same_label = nullptr;    // [N], of the references with the anchor's label
  const double* anchor_inverses = nullptr;  // [N], 1 / |x| by position; cosine only
  const double* ref_inverses = nullptr;     // [M]

  FRL_HD bool is_self(int64_t anchor, int64_t ref) const { return batch.self && anchor == ref; }
  FRL_HD bool is_cosine() const { return batch.distance == Distance::kCosine; }
  FRL_HD int64_t num_positives(int64_t anchor) const {
    return same_label[anchor].size() - (batch.self ? 1 : 0);
  }
  FRL_HD int64_t num_negatives(int64_t anchor) const {
    return batch.num_refs - same_label[anchor].size();
  }
  FRL_HD bool has_triplet(int64_t anchor) const {
    return num_positives(anchor) > 0 && num_negatives(anchor) > 0;
  }

  template <typename Stored>
  __device__ __forceinline__ WarpRow<Stored> anchor_row(int64_t position) const {
    return {static_cast<const Stored*>(batch.embeddings) + anchors[position] * batch.dim,
            is_cosine() ? anchor_inverses[position] : 1};
  }
  template <typename Stored>
  __device__ __forceinline__ WarpRow<Stored> ref_row(int64_t position) const {
    return {static_cast<const Stored*>(batch.refs) + refs[position] * batch.dim,
            is_cosine() ? ref_inverses[position] : 1};
  }
};

// The canonical key of two rows, by a warp, in all lanes.
template <typename Stored>
__device__ __forceinline__ double warp_key(const TripletBatch& batch, const WarpRow<Stored>& x,
                                           const WarpRow<Stored>& y) {
  double sum = 0;
  if (batch.distance == Distance::kCosine) {
    for (int64_t d = lane_index(); d < batch.dim; d += kWarpSize) {
      sum = exact::add(
          sum, direction_term(to_real(x.data[d]), x.inverse, to_real(y.data[d]), y.inverse));
    }
  } else {
#pragma unroll 2
    for (int64_t d = lane_index(); d < batch.dim; d += kWarpSize) {
      sum = exact::add(sum, difference_term(to_real(x.data[d]), to_real(y.data[d])));
    }
  }
  return pair_key(batch.distance, sum_lanes(sum), x.inverse, y.inverse);
}

}  // namespace fused_rankloss::cuda::triplet
