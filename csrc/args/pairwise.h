// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "args/list_inputs.h"
#include "common/reduction.h"

namespace fused_rankloss {

// One call of `pairwise_forward` without torch: inputs and outputs of the kernels of both devices.
// Every array is contiguous. N is the number of slots, B of lists, K of margins.
struct PairwiseArgs : ListInputs {
  // inputs
  const double* margins = nullptr;  // [K]; null: `margin` is the only one, K = 1
  double margin = 0;
  int64_t num_margins = 1;  // K
  double boundary_grad = 1;
  Reduction reduction = Reduction::kMean;

  // outputs
  void* loss = nullptr;            // [K], or [K, B] for kNone; fp32, fp64 for fp64 scores
  void* raw_grad = nullptr;        // [K, N], see `counts`; null when no gradient is wanted
  double* list_scale = nullptr;    // [B]
  double* margin_slope = nullptr;  // [K, B]; null: not wanted
  double* statistics = nullptr;    // [B, 3], of lambda losses on CUDA; null: not wanted

  // If `counts`, the gradient is a number of pairs: raw_grad is int32, or int64 if `wide_counts`.
  // Otherwise it is fp32, or fp64 for fp64 scores.
  bool counts = false;
  bool wide_counts = false;

  // Workspace of CUDA (cuda/lists/weight_units.cuh): [B], the exponents of the lists' units as
  // fp64 has them, 0 where no pair weighs anything. Null: all units are 1.
  const uint32_t* weight_exponents = nullptr;

  // The unit of a list: raw_grad and margin_slope are divided by it, and list_scale is multiplied
  // by it.
  FRL_HD double unit(int64_t list) const {
    if (weight_exponents == nullptr || weight_exponents[list] == 0) return 1;
    return bit_cast<double>(uint64_t{weight_exponents[list]} << 52);
  }

  FRL_HD double margin_of(int64_t k) const { return margins ? margins[k] : margin; }
};

}  // namespace fused_rankloss
