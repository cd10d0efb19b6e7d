// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "common/platform.h"

namespace fused_rankloss {

enum class CatalogueLoss : int32_t { kHinge, kSquaredHinge, kLogistic, kWarp, kSoftmax };

// Sets of item numbers, one a query: set q is items[offsets[q] .. offsets[q + 1]), each item once.
struct ItemSets {
  const int64_t* items = nullptr;
  const int64_t* offsets = nullptr;  // [B + 1]

  FRL_HD int64_t size(int64_t query) const { return offsets[query + 1] - offsets[query]; }
  FRL_HD const int64_t* of(int64_t query) const { return items + offsets[query]; }
};

// One call of `catalogue_block` without torch: a block of B queries and their scores of all M
// items, which become the gradient of each query's sum. Every array is contiguous.
struct CatalogueArgs {
  // inputs
  void* scores = nullptr;           // [B, M] fp32 or fp64; d query_sum / d score afterwards
  const void* item_bias = nullptr;  // [M] as the scores, added to each row; null: none
  int64_t num_queries = 0;          // B
  int64_t num_items = 0;            // M
  ItemSets positives;
  ItemSets excluded;  // neither positive nor negative; disjoint from the positives
  const double* query_weights = nullptr;  // [B]; a query that weighs 0 has no term; null: all 1
  // Phi(0) .. Phi(R) of WARP, where ranks above R count as R; null: Phi(r) = r.
  const double* rank_sums = nullptr;
  int64_t num_rank_sums = 0;

  CatalogueLoss loss{};
  const double* parameter = nullptr;  // [1]; overrides the margin, or the softmax's temperature
  double margin = 1;
  double sigma = 1;
  double temperature = 1;
  double boundary_grad = 1;
  bool own_denominator = false;  // softmax: a positive competes with the negatives alone
  int64_t hardest = 0;           // only so many negatives of a query count; 0: all
  bool needs_grad = false;

  // outputs, [B]
  double* value = nullptr;  // the query's sum; NaN for a query that holds NaN, which has no pairs
  double* pairs = nullptr;  // its number of pairs, or of positives (WARP, softmax)
  double* slope = nullptr;  // d value / d margin or temperature
};

// Phi(r) / r, the weight of each of the r violated pairs of a positive.
FRL_HD double rank_weight(const CatalogueArgs& args, int64_t violations) {
  if (args.rank_sums == nullptr) return 1;
  if (violations == 0) return 0;
  const int64_t last = args.num_rank_sums - 1;
  return args.rank_sums[violations < last ? violations : last] / static_cast<double>(violations);
}

}  // namespace fused_rankloss
