// SPDX-License-Identifier: BSD-3-Clause
//
// Every op of the library, and nothing else: the native table of contents. STABLE_TORCH_LIBRARY is
// TORCH_LIBRARY of the LibTorch Stable ABI. Kernels register themselves at the end of
// cpu/<stem>.cpp and cuda/<stem>.cu; shape functions are in fused_rankloss/ops.py.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(fused_rankloss, m) {
  // Losses that are sums over the pairs of a list with label_i > label_j. Returns
  //   loss          [K?] or [K?, B] with reduction "none"; fp32, or fp64 for fp64 scores
  //   raw_grad      [K, *scores], d list_sum / d score: pair counts (int) where the gradient is
  //   one,
  //                 else fp32 or fp64; [0] without needs_grad
  //   list_scale    [B] fp64, d loss / d list_sum; NaN for a list that holds NaN
  //   margin_slope  [K, B] fp64, d list_sum / d margin
  // K is the number of margins: 1 for the float `margin`, which `margins` overrides.
  m.def(
      "pairwise_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? mask, "
      "Tensor? lengths, Tensor? offsets, Tensor? margins, float margin, str loss, str weighting, "
      "float boundary_grad, str reduction, bool needs_grad) "
      "-> (Tensor loss, Tensor raw_grad, Tensor list_scale, Tensor margin_slope)");

  // Pair losses times lambda weights (losses/lambda_weights.h), RankNet with scheme "none". Returns
  //   loss        [], or [B] with reduction "none"; fp32, or fp64 for fp64 scores
  //   raw_grad    [1, *scores], d list_sum / d score as the loss; [0] without needs_grad
  //   list_scale  [B] fp64, d loss / d list_sum; NaN for a list that holds NaN
  //   statistics  [B, 3] fp64: pairs, correctly ordered ones, NDCG@k; [0, 3] if not needed
  m.def(
      "lambda_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? gains, Tensor? mask, "
      "Tensor? lengths, Tensor? offsets, Tensor? discounts, str scheme, str pair_loss, "
      "float sigma, float margin, float scale, float mu, str gain, int k, str truncation, "
      "bool score_normalization, bool list_normalization, str weighting, str reduction, "
      "bool needs_grad, bool needs_statistics) "
      "-> (Tensor loss, Tensor raw_grad, Tensor list_scale, Tensor statistics)");

  // Losses of whole lists: "listnet", "list_mle", "approx_ndcg". Results as above.
  m.def(
      "listwise_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? gains, "
      "Tensor? mask, Tensor? lengths, Tensor? offsets, Tensor? position_weights, str loss, "
      "str positions, float temperature, str gain, str reduction, bool needs_grad) "
      "-> (Tensor loss, Tensor raw_grad, Tensor list_scale)");

  // The backward pass of every loss over lists:
  //   grad_scores[t] = list_scale[b] * sum_k grad_loss[k, b] * raw_grad[k, t], 0 in padding
  m.def(
      "lists_backward(Tensor grad_loss, Tensor raw_grad, Tensor list_scale, Tensor? mask, "
      "Tensor? lengths, Tensor? offsets, ScalarType dtype) -> Tensor");
}
