// SPDX-License-Identifier: BSD-3-Clause
//
// Calls of the triplet ops without torch: inputs and outputs of the kernels of both devices. Every
// array is contiguous.
#pragma once

#include "common/labels.h"
#include "losses/distance.h"
#include "losses/triplet_term.h"

namespace fused_rankloss {

enum class TripletReduction : int32_t {
  kNone,         // a row's term, or the sum of an anchor's terms
  kSum,          // sum over all terms
  kMean,         // sum / number of terms
  kMeanNonzero,  // sum / number of terms that are not 0
};

// d loss / d (sum of an anchor's terms): the same number for every anchor, 0 if there are no terms
// to average.
FRL_HD double reduction_scale(TripletReduction reduction, double terms, double nonzero_terms) {
  switch (reduction) {
    case TripletReduction::kMean:
      return terms > 0 ? 1 / terms : 0;
    case TripletReduction::kMeanNonzero:
      return nonzero_terms > 0 ? 1 / nonzero_terms : 0;
    default:
      return 1;
  }
}

// Margin and slope at the boundary. `margin_tensor`, if given, lives on the device and overrides
// `margin`.
struct TripletTermArgs {
  const double* margin_tensor = nullptr;  // [1]
  double margin = 0;
  bool soft = false;
  double boundary_grad = 0;

  FRL_HD TripletTerm term() const {
    if (soft) return {0, 0, true};
    return {margin_tensor ? *margin_tensor : margin, boundary_grad, false};
  }
};

// grad_output: d result / d loss, one number or one per row.
struct GradOutput {
  const void* values = nullptr;  // [1] or [rows], fp32 or fp64
  bool per_row = false;
  bool is_double = false;

  FRL_HD double operator()(int64_t row) const {
    const int64_t at = per_row ? row : 0;
    return is_double ? static_cast<const double*>(values)[at]
                     : static_cast<double>(static_cast<const float*>(values)[at]);
  }
};

// Explicit triplets: row r of the three tensors is one triplet.
struct TripletRows {
  const void* anchor = nullptr;    // [R, D] of `type`
  const void* positive = nullptr;  // [R, D]
  const void* negative = nullptr;  // [R, D]
  ScoreType type{};
  int64_t num_rows = 0;  // R
  int64_t dim = 0;       // D
  Distance distance{};
  // Euclidean only: (sum_d |x_d - y_d + eps|^p)^(1/p), with p > 0 and infinity for the maximum.
  double p = 2;
  double eps = 0;
  bool swap = false;  // the negative's distance is the smaller of its two

  // Whether the norm is not the Euclidean norm of the difference itself.
  FRL_HD bool is_shifted_norm() const {
    return distance == Distance::kEuclidean && (p != 2 || eps != 0);
  }
};

struct TripletArgs {
  TripletRows rows;
  TripletTermArgs term;
  TripletReduction reduction = TripletReduction::kMean;

  // outputs
  void* loss = nullptr;         // [1], or [R] for kNone; fp32, fp64 for fp64 rows
  double* distances = nullptr;  // [2, R]: (a, p), (a, n); with swap [3, R]: also (p, n)
  double* slope = nullptr;      // [R], d loss / d gap
};

struct TripletBackwardArgs {
  TripletRows rows;
  GradOutput grad_loss;
  const double* distances = nullptr;  // as above
  const double* slope = nullptr;      // [R]

  // outputs, [R, D] of `rows.type`
  void* grad_anchor = nullptr;
  void* grad_positive = nullptr;
  void* grad_negative = nullptr;
};

enum class Mining : int32_t { kHard, kSemiHard, kAll };

// Triplets by label: anchors are rows of the embeddings, positives and negatives rows of the
// references.
struct TripletBatch {
  const void* embeddings = nullptr;  // [N, D] of `type`
  const void* labels = nullptr;      // [N] of `label_type`
  LabelType label_type{};
  const void* refs = nullptr;        // [M, D] of `type`; the embeddings where `self`
  const void* ref_labels = nullptr;  // [M] of `ref_label_type`
  LabelType ref_label_type{};
  bool self = false;  // the references are the embeddings: no row is paired with itself
  ScoreType type{};
  int64_t num_anchors = 0;  // N
  int64_t num_refs = 0;     // M
  int64_t dim = 0;          // D
  Distance distance{};
  Mining mining{};
};

struct BatchTripletArgs {
  TripletBatch batch;
  TripletTermArgs term;
  TripletReduction reduction = TripletReduction::kMean;
  bool needs_grad = false;
  // Whether the caller needs the greatest term of every anchor. If not, and if finding them is
  // extra work, positive, negative and distances may be those of an anchor without a triplet.
  bool needs_mined = true;

  // outputs
  void* loss = nullptr;            // [1], or [N] for kNone; fp32, fp64 for fp64 embeddings
  int64_t* positive = nullptr;     // [N], of the anchor's greatest term; -1 without a triplet
  int64_t* negative = nullptr;     // [N]
  double* distances = nullptr;     // [2, N], of these two; NaN without a triplet
  double* slope = nullptr;         // [N], d anchor_sum / d margin
  double* anchor_scale = nullptr;  // [1], d loss / d anchor_sum
  // With `needs_grad`: d loss / d embeddings, in the dtype of the loss, which then is one number.
  void* grad = nullptr;       // [N, D], both sides where `batch.self`
  void* grad_refs = nullptr;  // [M, D]; null where `batch.self`
};

struct BatchTripletBackwardArgs {
  TripletBatch batch;
  TripletTermArgs term;
  GradOutput grad_loss;
  const int64_t* positive = nullptr;  // the results of the forward pass
  const int64_t* negative = nullptr;
  const double* distances = nullptr;
  const double* slope = nullptr;
  const double* anchor_scale = nullptr;

  // outputs
  void* grad_embeddings = nullptr;  // [N, D] of `batch.type`; both sides where `batch.self`
  void* grad_refs = nullptr;        // [M, D]; null where `batch.self`
};

}  // namespace fused_rankloss
