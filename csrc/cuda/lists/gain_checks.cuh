// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/compensated_sum.h"
#include "common/labels.h"
#include "losses/gains.h"

namespace fused_rankloss::cuda {

// Whether the gain of an item is a finite number, given or of its label. Exponential gains are
// relative to the largest label of a list (gain_of), and only one of +inf makes them infinite.
template <class Args>
FRL_HD bool gain_is_finite(const Args& args, int64_t slot, double label) {
  if (args.gains != nullptr) return is_finite(args.gains[slot]);
  return args.gain == Gain::kLinear ? is_finite(label) : label != kInfinity<double>;
}

}  // namespace fused_rankloss::cuda
