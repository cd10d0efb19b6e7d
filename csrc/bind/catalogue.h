// SPDX-License-Identifier: BSD-3-Clause
//
// The arguments of the op `catalogue_block`, checked and made into CatalogueArgs.
#pragma once

#include <tuple>
#include <vector>

#include "args/catalogue.h"
#include "bind/choice.h"
#include "bind/op.h"
#include "bind/schemas.h"

namespace fused_rankloss {

inline constexpr Named<CatalogueLoss> kCatalogueLosses[] = {
    {"hinge", CatalogueLoss::kHinge},
    {"squared_hinge", CatalogueLoss::kSquaredHinge},
    {"logistic", CatalogueLoss::kLogistic},
    {"warp", CatalogueLoss::kWarp},
    {"softmax", CatalogueLoss::kSoftmax}};
inline constexpr Named<bool> kDenominators[] = {{"catalogue", false}, {"negatives", true}};

class CatalogueBlockCall {
 public:
  static constexpr std::string_view kSchema = kCatalogueBlock;

  CatalogueBlockCall(const Tensor& scores, const OptionalTensor& item_bias, const Tensor& positives,
                     const Tensor& positive_offsets, const Tensor& excluded,
                     const Tensor& excluded_offsets, const OptionalTensor& query_weights,
                     const OptionalTensor& parameter, const OptionalTensor& rank_sums,
                     std::string_view loss, double margin, double sigma, double temperature,
                     double boundary_grad, std::string_view denominator, int64_t negatives,
                     bool needs_grad)
      : op("catalogue_" + std::string(loss) + "_loss"), dtype(scores.scalar_type()) {
    args.loss = choice("catalogue_block", "loss", loss, kCatalogueLosses);
    check(dtype == ScalarType::Float || dtype == ScalarType::Double, op,
          ": expected scores of dtype float32 or float64");
    check(scores.dim() == 2 && scores.is_contiguous(), op,
          ": expected contiguous scores of shape [B, M], got shape ", shape_string(scores));
    kept_.reserve(8);
    kept_.push_back(scores);
    args.scores = kept_.back().mutable_data_ptr();
    args.num_queries = scores.size(0);
    args.num_items = scores.size(1);
    check(args.num_items < INT32_MAX, op, ": expected fewer than 2^31 - 1 items, got ",
          args.num_items);
    if (item_bias) args.item_bias = take("item_bias", *item_bias, dtype, args.num_items);
    args.positives = take_sets("positives", positives, positive_offsets);
    num_positives = positives.numel();
    args.excluded = take_sets("exclude", excluded, excluded_offsets);
    num_excluded = excluded.numel();
    if (query_weights) {
      args.query_weights = static_cast<const double*>(
          take("list_weights", *query_weights, ScalarType::Double, args.num_queries));
    }
    if (parameter) {
      args.parameter =
          static_cast<const double*>(take("parameter", *parameter, ScalarType::Double, 1));
    }
    if (rank_sums) {
      args.num_rank_sums = rank_sums->numel();
      check(args.num_rank_sums > 0, op, ": expected rank_sums of at least one number, got none");
      args.rank_sums = static_cast<const double*>(
          take("rank_sums", *rank_sums, ScalarType::Double, args.num_rank_sums));
    }
    args.margin = margin;
    args.sigma = sigma;
    args.temperature = temperature;
    check(sigma > 0 && temperature > 0, op, ": expected sigma > 0 and temperature > 0, got ", sigma,
          " and ", temperature);
    check(boundary_grad >= 0 && boundary_grad <= 1, op, ": expected boundary_grad in [0, 1], got ",
          boundary_grad);
    args.boundary_grad = boundary_grad;
    args.own_denominator = choice(op, "denominator", denominator, kDenominators);
    check(negatives >= 0, op, ": expected negatives >= 0, got ", negatives);
    args.hardest = negatives;
    args.needs_grad = needs_grad;
    for (OptionalTensor* result : {&value, &pairs, &slope}) {
      *result = new_tensor(scores, {args.num_queries}, ScalarType::Double);
    }
    args.value = static_cast<double*>(value->mutable_data_ptr());
    args.pairs = static_cast<double*>(pairs->mutable_data_ptr());
    args.slope = static_cast<double*>(slope->mutable_data_ptr());
  }

  const std::string op;  // the public function, for which errors speak
  const ScalarType dtype;
  CatalogueArgs args;
  int64_t num_positives = 0, num_excluded = 0;
  OptionalTensor value, pairs, slope;

  std::tuple<Tensor, Tensor, Tensor> results() const { return {*value, *pairs, *slope}; }

 private:
  const void* take(const char* name, const Tensor& tensor, ScalarType wanted, int64_t numel) {
    check(tensor.scalar_type() == wanted && tensor.numel() == numel, op, ": expected ", name,
          " of ", numel, " numbers of the dtype of the op, got shape ", shape_string(tensor));
    check(tensor.device() == kept_.front().device(), op, ": expected ", name,
          " on the device of scores, got another");
    kept_.push_back(contiguous_of(tensor));
    return kept_.back().const_data_ptr();
  }

  ItemSets take_sets(const char* name, const Tensor& items, const Tensor& offsets) {
    const auto* bounds =
        static_cast<const int64_t*>(take(name, offsets, ScalarType::Long, args.num_queries + 1));
    return {static_cast<const int64_t*>(take(name, items, ScalarType::Long, items.numel())),
            bounds};
  }

  std::vector<Tensor> kept_;
};

}  // namespace fused_rankloss
