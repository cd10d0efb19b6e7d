// SPDX-License-Identifier: BSD-3-Clause
//
// The schemas of ops that several launchers have, each in a library of its own: as in csrc/ops.cpp.
#pragma once

namespace fused_rankloss::host {

inline constexpr char kPairwiseForward[] =
    "pairwise_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? mask, Tensor? "
    "lengths, Tensor? offsets, Tensor? margins, float margin, str loss, str weighting, float "
    "boundary_grad, str reduction, bool needs_grad) -> (Tensor loss, Tensor raw_grad, Tensor "
    "list_scale, Tensor margin_slope)";

inline constexpr char kLambdaForward[] =
    "lambda_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? gains, Tensor? mask,"
    " Tensor? lengths, Tensor? offsets, Tensor? discounts, str scheme, str pair_loss, float "
    "sigma, float margin, float scale, float mu, str gain, int k, str truncation, bool "
    "score_normalization, bool list_normalization, str weighting, str reduction, bool "
    "needs_grad, bool needs_statistics) -> (Tensor loss, Tensor raw_grad, Tensor list_scale, "
    "Tensor statistics)";

}  // namespace fused_rankloss::host
