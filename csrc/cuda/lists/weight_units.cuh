// SPDX-License-Identifier: BSD-3-Clause
//
// Units of the gradients of weighted fp32 lists: for each list, a power of two near its largest
// pair weight (PairwiseArgs::unit). Gradients are stored divided by the unit and multiplied by it
// at the end. So they stay in the range of fp32, both before and after a mean divides by the
// weights.
//
// The largest product is that of the list's largest weight and the largest weight of another label.
// With `preferred`, it is the largest weight of an item that has a less relevant one. Either takes
// two passes: the first finds the item that the second compares labels with.
//
// Mapping      one thread per slot, in two launches
// Determinism  integer maximum
#pragma once

#include <type_traits>

#include "common/labels.h"
#include "common/weights.h"
#include "common/workspace.h"
#include "cuda/lists/lists.cuh"
#include "cuda/lists/load_items.cuh"
#include "cuda/lists/policy.h"
#include "cuda/primitives/warp.cuh"

namespace fused_rankloss::cuda {

using WeightLeader = unsigned long long;

struct WeightUnitsParams {
  ListInputs args;
  bool all_pairs;  // pairs of equal labels count, and an item with itself
  // [num_lists], initially 0: exponent and slot of an item of the largest weight; with `preferred`,
  // the complement of the lowest label.
  WeightLeader* leaders;
  uint32_t* exponents;  // [num_lists], initially 0: of the units

  // The fp64 exponent bits of a slot's weight. 0 for invalid weights, which poison their list.
  FRL_HD uint32_t exponent(int64_t slot) const {
    const double weight = load_weight<float>(args, slot);
    if (!is_weight(weight)) return 0;
    return static_cast<uint32_t>(bit_cast<uint64_t>(weight) >> 52 & 0x7ff);  // -0.0 is a weight
  }

  FRL_HD uint64_t ordered_label(int64_t slot) const {
    const int64_t label = label_key_at(args.labels, args.label_type, slot);
    return static_cast<uint64_t>(label) ^ 0x8000000000000000u;
  }

  FRL_HD WeightLeader leader_of(int64_t slot) const {
    if (args.preferred) return ~ordered_label(slot);
    const uint32_t own = exponent(slot);
    return own == 0 ? 0 : WeightLeader{own} << 32 | static_cast<uint32_t>(slot);
  }

  // Exponent of the weight of the pair with the leader, or of a pair that the item is preferred in.
  FRL_HD uint32_t exponent_beside(WeightLeader leader, int64_t slot) const {
    constexpr uint32_t kBias = 1023;
    const uint32_t own = exponent(slot);
    if (own == 0) return 0;
    if (args.preferred) return all_pairs || ordered_label(slot) > ~leader ? own : 0;
    const int64_t other = static_cast<int64_t>(leader & 0xffffffffu);
    if (!all_pairs && ordered_label(other) == ordered_label(slot)) return 0;
    return own + static_cast<uint32_t>(leader >> 32) - kBias;
  }
};

// A template, so that several .cu files may instantiate it.
template <class Params, bool kLeaders>
__global__ void __launch_bounds__(kBackwardThreads)
    weight_units_kernel(const __grid_constant__ Params params) {
  using Value = std::conditional_t<kLeaders, WeightLeader, uint32_t>;
  const Lists& lists = params.args.lists;
  const int64_t slot = static_cast<int64_t>(blockIdx.x) * kBackwardThreads + threadIdx.x;
  const int64_t list = slot < lists.num_slots ? list_of(lists, slot) : kNoList;
  Value value = 0;
  if (real_range(lists, list, slot).size() > 0) {
    if constexpr (kLeaders) {
      value = params.leader_of(slot);
    } else {
      value = params.exponent_beside(params.leaders[list], slot);
    }
  }
  // In most warps all slots are of one list, and one lane does the atomicMax for all.
  const bool is_one = __all_sync(kAllLanes, list == __shfl_sync(kAllLanes, list, 0)) != 0;
#pragma unroll 1
  for (int distance = kWarpSize / 2; is_one && distance > 0; distance /= 2) {
    const Value other = __shfl_xor_sync(kAllLanes, value, distance);
    value = other > value ? other : value;
  }
  if (value != 0 && (!is_one || lane_index() == 0)) {
    if constexpr (kLeaders) {
      atomicMax(&params.leaders[list], value);
    } else {
      atomicMax(&params.exponents[list], value);
    }
  }
}

// The exponents of the units of a call if its gradients need them, otherwise null.
template <class Queue>
const uint32_t* weight_exponents(Queue& queue, const ListInputs& args, bool all_pairs) {
  if (args.weights == nullptr || args.score_type == ScoreType::kDouble) return nullptr;
  const int64_t num_lists = args.lists.num_lists;
  const WeightUnitsParams params{args, all_pairs, queue.template allocate<WeightLeader>(num_lists),
                                 queue.template allocate<uint32_t>(num_lists)};
  queue.zero(params.leaders, num_lists);
  queue.zero(params.exponents, num_lists);
  const int64_t blocks = (args.lists.num_slots + kBackwardThreads - 1) / kBackwardThreads;
  queue.launch(blocks, kBackwardThreads, weight_units_kernel<WeightUnitsParams, true>, params);
  queue.launch(blocks, kBackwardThreads, weight_units_kernel<WeightUnitsParams, false>, params);
  return params.exponents;
}

}  // namespace fused_rankloss::cuda
