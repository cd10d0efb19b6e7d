// SPDX-License-Identifier: BSD-3-Clause
//
// Units of the gradients of weighted fp32 lists: for each list, a power of two near its largest
// pair weight (PairwiseArgs::unit). Gradients are stored divided by it and scaled by it at last, so
// that they neither leave the range of fp32 before a mean divides by the weights nor after.
//
// Mapping      a thread a slot
// Determinism  the largest of integers
#pragma once

#include "common/workspace.h"
#include "cuda/lists/lists.cuh"
#include "cuda/lists/load_items.cuh"
#include "cuda/lists/policy.h"
#include "cuda/primitives/warp.cuh"

namespace fused_rankloss::cuda {

struct WeightUnitsParams {
  ListInputs args;
  uint32_t* exponents;  // [num_lists], 0
};

// Of what is no weight, 0: its list is poisoned.
__device__ __forceinline__ uint32_t weight_exponent(const ListInputs& args, int64_t list,
                                                    int64_t slot) {
  if (real_range(args.lists, list, slot).size() == 0) return 0;
  const double weight = load_weight<float>(args, slot);
  if (!is_weight(weight)) return 0;
  return static_cast<uint32_t>(bit_cast<uint64_t>(weight) >> 52 & 0x7ff);  // -0.0 is a weight
}

// A template, so that files may share it.
template <class Params>
__global__ void __launch_bounds__(kBackwardThreads)
    weight_units_kernel(const __grid_constant__ Params params) {
  const Lists& lists = params.args.lists;
  const int64_t slot = static_cast<int64_t>(blockIdx.x) * kBackwardThreads + threadIdx.x;
  const int64_t list = slot < lists.num_slots ? list_of(lists, slot) : kNoList;
  uint32_t exponent = list == kNoList ? 0 : weight_exponent(params.args, list, slot);
  // Mostly a warp has one list, and one of its lanes speaks for all.
  const bool is_one = __all_sync(kAllLanes, list == __shfl_sync(kAllLanes, list, 0)) != 0;
#pragma unroll 1
  for (int distance = kWarpSize / 2; is_one && distance > 0; distance /= 2) {
    const uint32_t other = __shfl_xor_sync(kAllLanes, exponent, distance);
    exponent = other > exponent ? other : exponent;
  }
  if (exponent != 0 && (!is_one || lane_index() == 0)) {
    atomicMax(&params.exponents[list], exponent);
  }
}

// The exponents of a call's largest weights, where gradients need them; or else null.
template <class Queue>
const uint32_t* weight_exponents(Queue& queue, const ListInputs& args) {
  if (args.weights == nullptr || args.score_type == ScoreType::kDouble) return nullptr;
  const int64_t num_lists = args.lists.num_lists;
  const WeightUnitsParams params{args, queue.template allocate<uint32_t>(num_lists)};
  queue.zero(params.exponents, num_lists);
  queue.launch((args.lists.num_slots + kBackwardThreads - 1) / kBackwardThreads, kBackwardThreads,
               weight_units_kernel<WeightUnitsParams>, params);
  return params.exponents;
}

}  // namespace fused_rankloss::cuda
