// SPDX-License-Identifier: BSD-3-Clause
//
// How sums over pairs of single lists become the loss. The loss is always
//
//   sum_b scale_b * list_sum_b      (or the list sums themselves for kNone)
//
// so `scale_b` is all that the backward pass needs. Lists without a pair add exactly 0.
#pragma once

#include <cstdint>

#include "common/platform.h"

namespace fused_rankloss {

enum class Reduction : int32_t {
  kNone,       // [B], the sum over the pairs of each list
  kSum,        // sum over all pairs of the batch
  kMean,       // sum / (weighted) number of pairs of the whole batch
  kListMean,   // mean over lists with pairs of each list's own mean
  kBatchMean,  // sum / B
};

// scale_b of a list with `pairs` (weighted) pairs, in a batch of `num_lists` lists that have
// `total` pairs together and of which `lists_with_pairs` have any.
FRL_HD double reduction_scale(Reduction reduction, double pairs, double total,
                              double lists_with_pairs, double num_lists) {
  switch (reduction) {
    case Reduction::kMean:
      return total > 0 ? 1 / total : 0;
    case Reduction::kListMean:
      return pairs > 0 ? 1 / (pairs * lists_with_pairs) : 0;
    case Reduction::kBatchMean:
      return 1 / num_lists;
    default:
      return 1;
  }
}

}  // namespace fused_rankloss
