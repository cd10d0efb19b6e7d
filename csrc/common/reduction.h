// SPDX-License-Identifier: BSD-3-Clause
//
// How sums over pairs of single lists become the loss. The loss is always
//
//   sum_b scale_b * list_sum_b      (or the list sums themselves for kNone)
//
// so `scale_b` is all that the backward pass needs. Lists without a pair add exactly 0.
#pragma once

#include <cstdint>

#include "common/ordered.h"
#include "common/platform.h"

namespace fused_rankloss {

enum class Reduction : int32_t {
  kNone,       // [B], the sum over the pairs of each list
  kSum,        // sum over all pairs of the batch
  kMean,       // sum / (weighted) number of pairs of the whole batch
  kListMean,   // mean over lists with pairs of each list's own mean
  kBatchMean,  // sum / B
};

// The power of two that weighted sums of a list are kept in units of: near its summed pair weight,
// so that what a mean divides by it neither leaves the range of fp32 before nor after.
FRL_HD double weight_unit(double pairs) {
  if (!(pairs > 0)) return 1;
  constexpr uint64_t kExponent = 0x7ff0000000000000u, kSmallest = 0x0010000000000000u;
  const uint64_t power = bit_cast<uint64_t>(pairs) & kExponent;
  return bit_cast<double>(power > kSmallest ? power : kSmallest);
}

// dividend / divisor; 0 where there is nothing to divide, NaN where the divisor has overflowed.
FRL_HD double share_of(double dividend, double divisor) {
  if (!(divisor > 0)) return 0;
  return dividend / divisor + (divisor - divisor);
}

// scale_b of a list with `pairs` (weighted) pairs, in a batch of `num_lists` lists that have
// `total` pairs together and of which `lists_with_pairs` have any; for a sum in units of `unit`.
FRL_HD double reduction_scale(Reduction reduction, double pairs, double total,
                              double lists_with_pairs, double num_lists, double unit = 1) {
  switch (reduction) {
    case Reduction::kMean:
      return share_of(unit, total);
    case Reduction::kListMean:
      return share_of(share_of(unit, pairs), lists_with_pairs);
    case Reduction::kBatchMean:
      return unit / num_lists;
    default:
      return unit;
  }
}

}  // namespace fused_rankloss
