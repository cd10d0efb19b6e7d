// SPDX-License-Identifier: BSD-3-Clause
//
// The reduction of sums over pairs of single lists to the loss, which is always
//
//   sum_b scale_b * list_sum_b      (or the list sums themselves for kNone)
//
// so that the backward pass needs only `scale_b`. Lists without a pair add exactly 0. With list
// weights w_b, which are 1 otherwise, a list's sum and its number of pairs count w_b times.
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

// The unit in which weighted sums of a list are stored: a power of two near its summed pair weight,
// so that they stay in the range of fp32 both before and after a mean divides by that weight.
FRL_HD double weight_unit(double pairs) {
  if (!(pairs > 0)) return 1;
  constexpr uint64_t kExponent = 0x7ff0000000000000u, kSmallest = 0x0010000000000000u;
  const uint64_t power = bit_cast<uint64_t>(pairs) & kExponent;
  return bit_cast<double>(power > kSmallest ? power : kSmallest);
}

// dividend / divisor; 0 if the divisor is 0, NaN if it has overflowed.
FRL_HD double share_of(double dividend, double divisor) {
  if (!(divisor > 0)) return 0;
  return dividend / divisor + (divisor - divisor);
}

// scale_b / w_b of a list with `pairs` (weighted) pairs, for a sum in units of `unit`. The batch
// has `num_lists` lists; over them, `total` sums w_b * pairs, and `lists_with_pairs` the w_b of
// those with any.
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
