// SPDX-License-Identifier: BSD-3-Clause
//
// The schema of every op of the library, and what it returns: the native table of contents. The
// C++ types of an op's parameters follow from its schema (bind/op.h); shape functions are in
// fused_rankloss/ops.py.
#pragma once

namespace fused_rankloss {

// Losses that are sums over the pairs of a list with label_i > label_j. Returns
//   loss          [K?] or [K?, B] with reduction "none"; fp32, or fp64 for fp64 scores
//   raw_grad      [K, *scores], d list_sum / d score: pair counts (int) where the gradient is
//                 one, else fp32 or fp64; [0] without needs_grad
//   list_scale    [B] fp64, d loss / d list_sum; NaN for a list that holds NaN
//   margin_slope  [K, B] fp64, d list_sum / d margin
// K is the number of margins: 1 for the float `margin`, which `margins` overrides. `list_weights`
// are [B] fp64.
inline constexpr char kPairwiseForward[] =
    "pairwise_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? list_weights, "
    "Tensor? mask, Tensor? lengths, Tensor? offsets, Tensor? margins, float margin, str loss, str "
    "weighting, "
    "float boundary_grad, str reduction, bool needs_grad) "
    "-> (Tensor loss, Tensor raw_grad, Tensor list_scale, Tensor margin_slope)";

// Pair losses times lambda weights (losses/lambda_weights.h), RankNet with scheme "none". Returns
//   loss        [], or [B] with reduction "none"; fp32, or fp64 for fp64 scores
//   raw_grad    [1, *scores], d list_sum / d score as the loss; [0] without needs_grad
//   list_scale  [B] fp64, d loss / d list_sum; NaN for a list that holds NaN
//   statistics  [B, 3] fp64: pairs, correctly ordered ones, NDCG@k; [0, 3] if not needed
inline constexpr char kLambdaForward[] =
    "lambda_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? list_weights, "
    "Tensor? gains, Tensor? mask, Tensor? lengths, Tensor? offsets, Tensor? discounts, str scheme, "
    "str pair_loss, "
    "float sigma, float margin, float scale, float mu, str gain, int k, str truncation, "
    "bool score_normalization, bool list_normalization, str weighting, str reduction, "
    "bool needs_grad, bool needs_statistics) "
    "-> (Tensor loss, Tensor raw_grad, Tensor list_scale, Tensor statistics)";

// Losses of whole lists: "listnet", "list_mle", "approx_ndcg". Results as above.
inline constexpr char kListwiseForward[] =
    "listwise_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? list_weights, "
    "Tensor? gains, Tensor? mask, Tensor? lengths, Tensor? offsets, Tensor? position_weights, str "
    "loss, "
    "str positions, float temperature, str gain, str reduction, bool needs_grad) "
    "-> (Tensor loss, Tensor raw_grad, Tensor list_scale)";

// The backward pass of every loss over lists:
//   grad_scores[t] = list_scale[b] * sum_k grad_loss[k, b] * raw_grad[k, t], 0 in padding
inline constexpr char kListsBackward[] =
    "lists_backward(Tensor grad_loss, Tensor raw_grad, Tensor list_scale, Tensor? mask, "
    "Tensor? lengths, Tensor? offsets, ScalarType dtype) -> Tensor";

// Explicit triplets [R, D]. `margin_tensor` ([], fp64) overrides `margin`; `soft` is the softplus
// of the gap instead of its hinge. Returns
//   loss       [], or [R] with reduction "none"; fp32, or fp64 for fp64 rows
//   distances  [2, R] fp64: (a, p), (a, n); with swap [3, R]: also (p, n)
//   slope      [R] fp64, d loss / d gap
inline constexpr char kTripletForward[] =
    "triplet_forward(Tensor anchor, Tensor positive, Tensor negative, Tensor? margin_tensor, "
    "float margin, bool soft, str distance, float p, float eps, bool swap, float boundary_grad, "
    "str reduction) -> (Tensor loss, Tensor distances, Tensor slope)";

// The gradients of anchor, positive and negative.
inline constexpr char kTripletBackward[] =
    "triplet_backward(Tensor grad_loss, Tensor anchor, Tensor positive, Tensor negative, "
    "Tensor distances, Tensor slope, str distance, float p, float eps, bool swap) "
    "-> (Tensor, Tensor, Tensor)";

// Triplets by label: anchors are the embeddings [N, D]; positives and negatives the references
// [M, D] or, without any, the other embeddings. `mining` is "hard", "semi_hard" or "all". Returns
//   loss                [], or [N] with reduction "none"; fp32, or fp64 for fp64 embeddings
//   positive, negative  [N] int64, of each anchor's greatest term; -1 for one without a triplet
//   distances           [2, N] fp64, to these two; NaN for an anchor without a triplet
//   slope               [N] fp64, d anchor_sum / d margin
//   anchor_scale        [] fp64, d loss / d anchor_sum
//   grad, grad_ref      [N, D], [M, D]: d loss / d embeddings and references, of the dtype of the
//                       loss; [0] without needs_grad, and wherever batch_triplet_backward is to
//                       make them: on CUDA, with mining "hard" or reduction "none"
// Without needs_mined, the picks may be -1 and the distances NaN for every anchor, where to find
// them is work of its own.
inline constexpr char kBatchTripletForward[] =
    "batch_triplet_forward(Tensor embeddings, Tensor labels, Tensor? ref_embeddings, "
    "Tensor? ref_labels, Tensor? margin_tensor, float margin, bool soft, str mining, "
    "str distance, float boundary_grad, str reduction, bool needs_grad, bool needs_mined) "
    "-> (Tensor loss, Tensor positive, Tensor negative, Tensor distances, Tensor slope, "
    "Tensor anchor_scale, Tensor grad, Tensor grad_ref)";

// The gradients of the embeddings and the references; without references both sides are in the
// first, and the second is [0].
inline constexpr char kBatchTripletBackward[] =
    "batch_triplet_backward(Tensor grad_loss, Tensor embeddings, Tensor labels, "
    "Tensor? ref_embeddings, Tensor? ref_labels, Tensor? margin_tensor, float margin, bool soft, "
    "str mining, str distance, float boundary_grad, Tensor positive, Tensor negative, "
    "Tensor distances, Tensor slope, Tensor anchor_scale) "
    "-> (Tensor grad_embeddings, Tensor grad_ref)";

// Losses of queries [B, D] over a whole catalogue of items [M, D], whose scores are made in blocks
// of queries; fused_rankloss/catalogue_blocks.py drives the blocks. Sets of items as the functions
// take them: flat with offsets, or padded with -1. `parameter` ([], fp64) overrides the margin, or
// the temperature of "softmax". Returns
//   loss          [], or [B] with reduction "none"; fp32, or fp64 for fp64 queries
//   slope         [], or [B], fp64: d loss / d parameter
//   scale         [] fp64, by which the gradients are to be multiplied
//   grad_queries, grad_items, grad_bias    of the dtype of the loss; [0] without needs_grad
// With reduction "none", gradients are those of sum_q grad_output_q loss_q.
inline constexpr char kCatalogueForward[] =
    "catalogue_forward(Tensor queries, Tensor items, Tensor? item_bias, Tensor positives, "
    "Tensor? positive_offsets, Tensor? exclude, Tensor? exclude_offsets, Tensor? query_ids, "
    "Tensor? item_ids, Tensor? list_weights, Tensor? parameter, Tensor? rank_sums, "
    "Tensor? grad_output, str loss, float margin, float sigma, float temperature, "
    "float boundary_grad, str denominator, int negatives, str reduction, int workspace, "
    "bool needs_grad) "
    "-> (Tensor loss, Tensor slope, Tensor scale, Tensor grad_queries, Tensor grad_items, "
    "Tensor grad_bias)";

// One such block. The scores [B, M], fp32 or fp64, become d query_sum / d score; without
// needs_grad they are undefined afterwards. Item numbers are int64, each once in a set, and no item
// is in both sets of a query. Returns [B] fp64 each
//   value  the query's sum; NaN for a query that holds NaN
//   pairs  its number of pairs, of "warp" and "softmax" that of positives; 0 for one that holds NaN
//   slope  d value / d parameter
inline constexpr char kCatalogueBlock[] =
    "catalogue_block(Tensor(a!) scores, Tensor? item_bias, Tensor positives, "
    "Tensor positive_offsets, Tensor excluded, Tensor excluded_offsets, Tensor? query_weights, "
    "Tensor? parameter, Tensor? rank_sums, str loss, float margin, float sigma, "
    "float temperature, float boundary_grad, str denominator, int negatives, bool needs_grad) "
    "-> (Tensor value, Tensor pairs, Tensor slope)";

}  // namespace fused_rankloss
