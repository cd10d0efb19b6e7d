// SPDX-License-Identifier: BSD-3-Clause
//
// The arguments of the op `lambda_forward`, checked and made into LambdaArgs. Both devices' op
// files open with a LambdaCall, so that they accept, refuse and return the same.
#pragma once

#include <cmath>
#include <tuple>

#include "args/lambda.h"
#include "bind/list_inputs.h"
#include "bind/list_results.h"

namespace fused_rankloss {

class LambdaCall {
 public:
  LambdaCall(const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
             const OptionalTensor& gains, const OptionalTensor& mask, const OptionalTensor& lengths,
             const OptionalTensor& offsets, const OptionalTensor& discounts,
             std::string_view scheme, std::string_view pair_loss, double sigma, double margin,
             double scale, double mu, std::string_view gain, int64_t k, std::string_view truncation,
             bool score_normalization, bool list_normalization, std::string_view weighting,
             std::string_view reduction, bool needs_grad, bool needs_statistics)
      : inputs(
            scores, labels, weights, mask, lengths, offsets,
            scheme == "none" && pair_loss == "logistic" ? "pairwise_logistic_loss" : "lambda_loss"),
        op(inputs.op) {
    static_cast<ListInputs&>(args) = inputs.inputs;
    args.scheme = parse_scheme(scheme);
    args.pair_loss = parse_pair_loss(pair_loss);
    check(sigma > 0 && std::isfinite(sigma), op, ": expected a positive finite sigma, got ", sigma);
    check(std::isfinite(margin), op, ": expected a finite margin, got ", margin);
    check(mu >= 0 && std::isfinite(mu), op, ": expected a finite mu >= 0, got ", mu);
    args.sigma = sigma;
    args.margin = margin;
    args.scale = scale;
    args.mu = mu;
    args.gain = parse_gain(gain, op);
    if (gains) {
      inputs.check_companion("gains", *gains);
      gains_ = inputs.fp64("gains", *gains);
      args.gains = static_cast<const double*>(gains_->const_data_ptr());
    }
    if (discounts) {
      check(discounts->dim() == 1 && discounts->numel() >= 1, op,
            ": expected discounts of shape [R] with R >= 1, got ", shape_string(*discounts));
      discounts_ = inputs.fp64("discounts", *discounts);
      args.discounts = static_cast<const double*>(discounts_->const_data_ptr());
      args.num_discounts = discounts->numel();
    }
    check(k >= 0, op, ": expected k >= 0, got ", k);
    args.k = k;
    args.truncation = parse_truncation(truncation);
    args.score_normalization = score_normalization;
    args.list_normalization = list_normalization;
    args.preferred = inputs.parse_weighting(weighting);
    args.reduction = parse_reduction(reduction, op);
    results.emplace(inputs, scores, args.reduction, needs_grad);
    statistics =
        new_tensor(scores, {needs_statistics ? args.lists.num_lists : 0, 3}, ScalarType::Double);
    args.loss = results->loss.mutable_data_ptr();
    args.raw_grad = needs_grad ? results->raw_grad.mutable_data_ptr() : nullptr;
    args.list_scale = static_cast<double*>(results->list_scale.mutable_data_ptr());
    args.statistics =
        needs_statistics ? static_cast<double*>(statistics->mutable_data_ptr()) : nullptr;
  }

  const ListInputTensors inputs;
  const std::string op;  // the public function, for which errors speak
  LambdaArgs args;

  // The results of the op; `args` points into them.
  std::optional<ListResults> results;
  OptionalTensor statistics;

  std::tuple<Tensor, Tensor, Tensor, Tensor> tensors() const {
    return {results->loss, results->raw_grad, results->list_scale, *statistics};
  }

 private:
  Scheme parse_scheme(std::string_view name) const {
    if (name == "none") return Scheme::kNone;
    if (name == "arp") return Scheme::kArp;
    if (name == "lambdarank") return Scheme::kLambdaRank;
    if (name == "ndcg_loss1") return Scheme::kNdcgLoss1;
    if (name == "ndcg_loss2") return Scheme::kNdcgLoss2;
    check(name == "ndcg_loss2++", op,
          ": expected scheme 'none', 'arp', 'lambdarank', 'ndcg_loss1', 'ndcg_loss2' or "
          "'ndcg_loss2++', got '",
          name, "'");
    return Scheme::kNdcgLoss2pp;
  }

  PairLoss parse_pair_loss(std::string_view name) const {
    if (name == "logistic") return PairLoss::kLogistic;
    if (name == "hinge") return PairLoss::kHinge;
    check(name == "squared_hinge", op,
          ": expected pair_loss 'logistic', 'hinge' or 'squared_hinge', got '", name, "'");
    return PairLoss::kSquaredHinge;
  }

  Truncation parse_truncation(std::string_view name) const {
    if (name == "either") return Truncation::kEither;
    if (name == "both") return Truncation::kBoth;
    check(name == "discount", op, ": expected truncation 'either', 'both' or 'discount', got '",
          name, "'");
    return Truncation::kDiscount;
  }

  OptionalTensor gains_;
  OptionalTensor discounts_;
};

// The op on a device that solves calls with `solve`.
template <void (*solve)(const Tensor& scores, const LambdaCall& call)>
std::tuple<Tensor, Tensor, Tensor, Tensor> lambda_forward(
    const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
    const OptionalTensor& gains, const OptionalTensor& mask, const OptionalTensor& lengths,
    const OptionalTensor& offsets, const OptionalTensor& discounts, const std::string& scheme,
    const std::string& pair_loss, double sigma, double margin, double scale, double mu,
    const std::string& gain, int64_t k, const std::string& truncation, bool score_normalization,
    bool list_normalization, const std::string& weighting, const std::string& reduction,
    bool needs_grad, bool needs_statistics) {
  const LambdaCall call(scores, labels, weights, gains, mask, lengths, offsets, discounts, scheme,
                        pair_loss, sigma, margin, scale, mu, gain, k, truncation,
                        score_normalization, list_normalization, weighting, reduction, needs_grad,
                        needs_statistics);
  solve(scores, call);
  return call.tensors();
}

}  // namespace fused_rankloss
