// SPDX-License-Identifier: BSD-3-Clause
//
// Puts a batch in label order.
//
// References are sorted by label, stably, so that the positives of an anchor are neighbours and
// everything else is a negative; anchors are sorted as well, so that anchors that are neighbours
// share positives. Without references both are the same order.
//
// Memory       8 bytes an anchor and 4 a reference, and 24 while sorting
// Determinism  a stable sort has one result
#pragma once

#include "cuda/launch/sort_arrays.h"
#include "cuda/triplet/ordered_batch.cuh"

namespace fused_rankloss::cuda::triplet {

// ---- Sorting ----------------------------------------------------------------

// Bits of a label's sort key: labels plus an offset that makes them unsigned.
inline int label_bits(LabelType type) {
  switch (type) {
    case LabelType::kInt32:
      return 32;
    case LabelType::kInt64:
      return 64;
    default:
      return 16;
  }
}

struct LabelKeysParams {
  const void* labels;
  LabelType type;
  int64_t size;
  uint64_t offset;
  KeyedValues to;
};

__global__ void __launch_bounds__(kTripletThreads)
    label_keys_kernel(const __grid_constant__ LabelKeysParams params) {
  const int64_t t = int64_t{blockIdx.x} * kTripletThreads + threadIdx.x;
  if (t >= params.size) return;
  params.to.keys[t] =
      static_cast<uint64_t>(label_key_at(params.labels, params.type, t)) + params.offset;
  params.to.values[t] = static_cast<int32_t>(t);
}

struct SameLabelParams {
  const uint64_t* anchor_keys;  // [N], sorted
  const uint64_t* ref_keys;     // [M], sorted
  int64_t num_anchors;
  int64_t num_refs;
  Positions* same_label;
};

// The first of the sorted numbers for which `is_before` is false.
template <typename T, typename Before>
FRL_HD int64_t partition_point(const T* numbers, int64_t size, Before is_before) {
  int64_t low = 0;
  while (size > 0) {
    const int64_t half = size / 2;
    if (is_before(numbers[low + half])) {
      low += half + 1;
      size -= half + 1;
    } else {
      size = half;
    }
  }
  return low;
}

__global__ void __launch_bounds__(kTripletThreads)
    same_label_kernel(const __grid_constant__ SameLabelParams params) {
  const int64_t t = int64_t{blockIdx.x} * kTripletThreads + threadIdx.x;
  if (t >= params.num_anchors) return;
  const uint64_t key = params.anchor_keys[t];
  const int64_t begin = partition_point(params.ref_keys, params.num_refs,
                                        [key](uint64_t other) { return other < key; });
  const int64_t end = partition_point(params.ref_keys, params.num_refs,
                                      [key](uint64_t other) { return other <= key; });
  params.same_label[t] = {static_cast<int32_t>(begin), static_cast<int32_t>(end)};
}

// ---- Lengths ----------------------------------------------------------------

struct InverseNormsParams {
  const void* rows;
  const int32_t* order;  // null: that of the rows
  int64_t size;
  int64_t dim;
  double* inverses;  // in this order
};

template <typename Stored>
__global__ void __launch_bounds__(kTripletThreads)
    inverse_norms_kernel(const __grid_constant__ InverseNormsParams params) {
  const int64_t t = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  if (t >= params.size) return;
  const int64_t index = params.order != nullptr ? params.order[t] : t;
  const double inverse =
      warp_inverse_norm(static_cast<const Stored*>(params.rows) + index * params.dim, params.dim);
  if (lane_index() == 0) params.inverses[t] = inverse;
}

// ---- Launches ---------------------------------------------------------------

template <class Queue>
KeyedValues sorted_labels(Queue& queue, const void* labels, LabelType type, int64_t size,
                          int bits) {
  const auto allocate = [&] {
    return KeyedValues{queue.template allocate<uint64_t>(size),
                       queue.template allocate<int32_t>(size)};
  };
  const KeyedValues from = allocate(), to = allocate();
  queue.launch(ceil_div(size, kTripletThreads), kTripletThreads, label_keys_kernel,
               LabelKeysParams{labels, type, size, uint64_t{1} << (bits - 1), from});
  if (size > 0) queue.sort(from, to, size, bits);
  return to;
}

template <class Queue>
const double* inverse_norms(Queue& queue, const TripletBatch& batch, const void* rows,
                            const int32_t* order, int64_t size) {
  double* const inverses = queue.template allocate<double>(size);
  dispatch_stored(batch.type, [&](auto stored) {
    queue.launch(ceil_div(size, kTripletWarps), kTripletThreads,
                 inverse_norms_kernel<decltype(stored)>,
                 InverseNormsParams{rows, order, size, batch.dim, inverses});
  });
  return inverses;
}

template <class Queue>
OrderedBatch order_batch(Queue& queue, const TripletBatch& batch) {
  const int64_t num_anchors = batch.num_anchors, num_refs = batch.num_refs;
  const int anchor_bits = label_bits(batch.label_type), ref_bits = label_bits(batch.ref_label_type);
  const int bits = anchor_bits > ref_bits ? anchor_bits : ref_bits;
  const KeyedValues refs =
      sorted_labels(queue, batch.ref_labels, batch.ref_label_type, num_refs, bits);
  const KeyedValues anchors =
      batch.self ? refs : sorted_labels(queue, batch.labels, batch.label_type, num_anchors, bits);
  Positions* const same_label = queue.template allocate<Positions>(num_anchors);
  queue.launch(ceil_div(num_anchors, kTripletThreads), kTripletThreads, same_label_kernel,
               SameLabelParams{anchors.keys, refs.keys, num_anchors, num_refs, same_label});

  OrderedBatch ordered{batch, anchors.values, refs.values, same_label};
  if (ordered.is_cosine()) {
    ordered.ref_inverses = inverse_norms(queue, batch, batch.refs, refs.values, num_refs);
    ordered.anchor_inverses =
        batch.self ? ordered.ref_inverses
                   : inverse_norms(queue, batch, batch.embeddings, anchors.values, num_anchors);
  }
  return ordered;
}

}  // namespace fused_rankloss::cuda::triplet
