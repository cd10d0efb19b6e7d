// SPDX-License-Identifier: BSD-3-Clause
//
// What happens to the items of long lists before they are sorted by score (lambda_long_rank.cuh has
// what comes after).
//
// Mapping      A thread a slot, 8 times; the same threads write the tables by rank
// Memory       Scores, labels, weights and gains are read once, keys and slots written
// Determinism  Atomics set flags, bits, maxima and the entries of a LevelTable, whose order nothing
//              depends on
#pragma once

#include "cuda/lambda_long_params.cuh"

namespace fused_rankloss {

// Looks before it writes: most labels are not the highest so far.
__device__ __forceinline__ void raise(unsigned long long& highest, uint64_t key) {
  if (static_cast<const volatile unsigned long long&>(highest) < key) {
    atomicMax(&highest, static_cast<unsigned long long>(key));
  }
}

template <typename Real>
__device__ __forceinline__ void store_rank_tables(const LambdaLongParams<Real>& params,
                                                  int64_t rank) {
  const double discount = params.args.discount(rank);
  params.rank_discounts[rank] = discount;
  if (params.deltas == nullptr) return;
  // The distance of rank + 1 of two ranks.
  params.deltas[rank + 1] =
      params.args.delta_factor() * fabs(discount - params.args.discount(rank + 1));
}

// A block has kScanTile slots.
template <typename Real>
__global__ void __launch_bounds__(kScanThreads)
    lambda_prepare_kernel(const __grid_constant__ LambdaLongParams<Real> params) {
  const LambdaArgs& args = params.args;
  uint64_t ones = 0, zeros = 0;
#pragma unroll 1
  for (int i = 0; i < kScanRun; ++i) {
    const int64_t slot = static_cast<int64_t>(blockIdx.x) * kScanTile + i * kScanThreads +
                         static_cast<int>(threadIdx.x);
    if (slot >= args.lists.num_slots) break;
    if (params.rank_discounts != nullptr && slot < params.longest) store_rank_tables(params, slot);
    const int64_t list = list_of(args.lists, slot);
    const auto key = params.sort_key(slot, list);
    params.orders[0].keys[slot] = key;
    params.orders[0].slots[slot] = static_cast<uint32_t>(slot);
    if (key != kInertKey<decltype(key)>) {
      const int64_t label = label_key_at(args.labels, args.label_type, slot);
      const Real score = load_score<Real>(args, slot), weight = load_weight<Real>(args, slot);
      const double gain = args.gains != nullptr ? args.gains[slot] : 0;
      if (score != score || weight != weight || gain != gain ||
          is_nan_label(label, args.label_type)) {
        atomicExch(&params.facts[list].is_poisoned, 1u);
      }
      const uint64_t label_bits = LevelTable::key(label);
      ones |= label_bits;
      zeros |= ~label_bits;
      params.levels->insert(label_bits);
      raise(params.facts[list].max_label, label_bits);
    } else if (params.is_long(list) && args.raw_grad != nullptr) {
      static_cast<Real*>(args.raw_grad)[slot] = 0;  // of padding
    }
  }
#pragma unroll 1
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    ones |= __shfl_xor_sync(kAllLanes, ones, distance);
    zeros |= __shfl_xor_sync(kAllLanes, zeros, distance);
  }
  if (lane_index() == 0) params.levels->insert_bits(ones, zeros);
}

}  // namespace fused_rankloss
