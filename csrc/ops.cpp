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

  // The backward pass of every loss over lists:
  //   grad_scores[t] = list_scale[b] * sum_k grad_loss[k, b] * raw_grad[k, t], 0 in padding
  m.def(
      "lists_backward(Tensor grad_loss, Tensor raw_grad, Tensor list_scale, Tensor? mask, "
      "Tensor? lengths, Tensor? offsets, ScalarType dtype) -> Tensor");
}
