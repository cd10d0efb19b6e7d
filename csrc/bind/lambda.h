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
#include "bind/op.h"
#include "bind/schemas.h"

namespace fused_rankloss {

inline constexpr Named<Scheme> kSchemes[] = {{"lambdarank", Scheme::kLambdaRank},
                                             {"ndcg_loss1", Scheme::kNdcgLoss1},
                                             {"ndcg_loss2", Scheme::kNdcgLoss2},
                                             {"ndcg_loss2++", Scheme::kNdcgLoss2pp},
                                             {"arp", Scheme::kArp},
                                             {"none", Scheme::kNone}};
inline constexpr Named<PairLoss> kPairLosses[] = {{"logistic", PairLoss::kLogistic},
                                                  {"hinge", PairLoss::kHinge},
                                                  {"squared_hinge", PairLoss::kSquaredHinge}};
inline constexpr Named<Truncation> kTruncations[] = {{"either", Truncation::kEither},
                                                     {"both", Truncation::kBoth},
                                                     {"discount", Truncation::kDiscount}};

class LambdaCall {
 public:
  static constexpr std::string_view kSchema = kLambdaForward;

  LambdaCall(const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
             const OptionalTensor& list_weights, const OptionalTensor& gains,
             const OptionalTensor& mask, const OptionalTensor& lengths,
             const OptionalTensor& offsets, const OptionalTensor& discounts,
             std::string_view scheme, std::string_view pair_loss, double sigma, double margin,
             double scale, double mu, std::string_view gain, int64_t k, std::string_view truncation,
             bool score_normalization, bool list_normalization, std::string_view weighting,
             std::string_view reduction, bool needs_grad, bool needs_statistics)
      : inputs(
            scores, labels, weights, list_weights, mask, lengths, offsets,
            scheme == "none" && pair_loss == "logistic" ? "pairwise_logistic_loss" : "lambda_loss"),
        op(inputs.op) {
    static_cast<ListInputs&>(args) = inputs.inputs;
    args.scheme = choice(op, "scheme", scheme, kSchemes);
    args.pair_loss = choice(op, "pair_loss", pair_loss, kPairLosses);
    check(sigma > 0 && std::isfinite(sigma), op, ": expected a positive finite sigma, got ", sigma);
    check(std::isfinite(margin), op, ": expected a finite margin, got ", margin);
    check(mu >= 0 && std::isfinite(mu), op, ": expected a finite mu >= 0, got ", mu);
    args.sigma = sigma;
    args.margin = margin;
    args.scale = scale;
    args.mu = mu;
    args.gain = choice(op, "gain", gain, kGains);
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
    args.truncation = choice(op, "truncation", truncation, kTruncations);
    args.score_normalization = score_normalization;
    args.list_normalization = list_normalization;
    args.preferred = choice(op, "weighting", weighting, kWeightings);
    args.reduction = choice(op, "reduction", reduction, kReductions);
    outputs.emplace(inputs, scores, args.reduction, needs_grad);
    statistics =
        new_tensor(scores, {needs_statistics ? args.lists.num_lists : 0, 3}, ScalarType::Double);
    args.loss = outputs->loss.mutable_data_ptr();
    args.raw_grad = needs_grad ? outputs->raw_grad.mutable_data_ptr() : nullptr;
    args.list_scale = static_cast<double*>(outputs->list_scale.mutable_data_ptr());
    args.statistics =
        needs_statistics ? static_cast<double*>(statistics->mutable_data_ptr()) : nullptr;
  }

  const ListInputTensors inputs;
  const std::string op;  // the public function, for which errors speak
  LambdaArgs args;

  // What the op returns; `args` points into it.
  std::optional<ListResults> outputs;
  OptionalTensor statistics;

  std::tuple<Tensor, Tensor, Tensor, Tensor> results() const {
    return {outputs->loss, outputs->raw_grad, outputs->list_scale, *statistics};
  }

 private:
  OptionalTensor gains_;
  OptionalTensor discounts_;
};

}  // namespace fused_rankloss
