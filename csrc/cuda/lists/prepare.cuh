// SPDX-License-Identifier: BSD-3-Clause
//
// Preparation of the items of long lists before they are sorted (see pairwise/long.cuh).
//
// Mapping      One thread per slot, for 8 slots in turn, or one thread per position
// Memory       Scores, labels and weights are read once; keys and slots are written once
// Determinism  Atomics set flags, bits and the entries of a GradeTable; no result depends on the
//              order of its entries
#pragma once

#include <type_traits>
#include <utility>

#include "cuda/launch/sort_arrays.h"
#include "cuda/lists/label_ranks.cuh"
#include "cuda/lists/load_items.cuh"
#include "cuda/lists/partials.cuh"
#include "cuda/lists/score_moments.cuh"
#include "cuda/lists/score_order.cuh"

namespace fused_rankloss::cuda {

// ---- Parameters ------------------------------------------------------------

template <typename Real>
struct LongListsParams {
  using Key = ScoreKey<Real>;

  PairwiseArgs args;
  ListPartials partials;
  // Workspace: zero-initialised
  GradeTable* grades;
  uint32_t* poisoned;  // [num_lists]
  uint32_t* any_long;  // whether some list is long
  // Workspace: uninitialised, sized for whole tiles
  Order<Key> orders[2];
  Segments segments;
  MomentArrays moments;
  double* gradients;     // [K, num_slots]
  uint32_t* words;       // of LabelRanks, and of the sort by score
  uint32_t sort_digits;  // of SortedSlots, if the kernel itself sorts; otherwise 0

  FRL_HD bool is_long(int64_t list) const {
    return cuda::is_long(args.lists, list, partials.crossover);
  }

  // The sort key of a slot.
  __device__ __forceinline__ Key sort_key(int64_t slot, int64_t list) const {
    if (!is_long(list) || real_range(args.lists, list, slot).size() == 0) return kInertKey<Key>;
    const Real score = load_score<Real>(args, slot);
    return score_key(score);
  }
};

// ---- Kernels -------------------------------------------------------

// Zeroes the gradient of padding.
template <typename Real>
FRL_HD void store_zero(const PairwiseArgs& args, int64_t index) {
  if (args.counts) {
    static_cast<int32_t*>(args.raw_grad)[index] = 0;
  } else {
    static_cast<Real*>(args.raw_grad)[index] = 0;
  }
}

// Slot i of the thread in a tile, in striped arrangement.
__device__ __forceinline__ int64_t slot_of_tile(int64_t tile, int i) {
  return tile * kScanTile + i * kScanThreads + static_cast<int>(threadIdx.x);
}

// Writes the sort keys and slots of a tile, and inserts its labels into the GradeTable. Calls
// take_slot(slot, list) for all slots, then take_item(slot, list, label bits, has NaN) for the
// items of long lists and take_padding(slot) for the padding of long lists.
template <typename Real, class Params, typename TakeSlot, typename TakeItem, typename TakePadding>
__device__ __forceinline__ void prepare_tile(const Params& params, int64_t tile,
                                             TakeSlot&& take_slot, TakeItem&& take_item,
                                             TakePadding&& take_padding) {
  const auto& args = params.args;
  uint64_t ones = 0, zeros = 0;
#pragma unroll 1
  for (int i = 0; i < kItemsPerThread; ++i) {
    const int64_t slot = slot_of_tile(tile, i);
    if (slot >= args.lists.num_slots) break;
    const int64_t list = list_of(args.lists, slot);
    const auto key = params.sort_key(slot, list);
    params.orders[0].keys[slot] = key;
    params.orders[0].slots[slot] = static_cast<uint32_t>(slot);
    take_slot(slot, list);
    if (key != kInertKey<decltype(key)>) {
      const int64_t label = label_key_at(args.labels, args.label_type, slot);
      const Real score = load_score<Real>(args, slot), weight = load_weight<Real>(args, slot);
      const bool has_nan =
          score != score || !is_weight(weight) || is_nan_label(label, args.label_type);
      const uint64_t label_bits = GradeTable::key(label);
      ones |= label_bits;
      zeros |= ~label_bits;
      params.grades->insert(label_bits);
      take_item(slot, list, label_bits, has_nan);
    } else if (params.is_long(list) && args.raw_grad != nullptr) {
      take_padding(slot);
    }
  }
#pragma unroll 1
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    ones |= __shfl_xor_sync(kAllLanes, ones, distance);
    zeros |= __shfl_xor_sync(kAllLanes, zeros, distance);
  }
  if (lane_index() == 0) params.grades->insert_bits(ones, zeros);
}

// Sort key of a list; slots of no list sort last.
__device__ __forceinline__ uint32_t list_key(const Lists& lists, int64_t list) {
  return static_cast<uint32_t>(list == kNoList ? lists.num_lists : list);
}

template <typename Real>
__device__ __forceinline__ void prepare_long_tile(const LongListsParams<Real>& params,
                                                  int64_t tile) {
  const PairwiseArgs& args = params.args;
  const bool keeps_lists = params.sort_digits != 0 && args.lists.num_lists > 1;
  prepare_tile<Real>(
      params, tile,
      [&](int64_t slot, int64_t list) {
        if (keeps_lists) params.orders[0].ranks[slot] = list_key(args.lists, list);
        // Load first: in most cases another thread has set the flag already.
        if (params.is_long(list) && *static_cast<const volatile uint32_t*>(params.any_long) == 0) {
          atomicExch(params.any_long, 1u);
        }
      },
      [&](int64_t /*slot*/, int64_t list, uint64_t /*label_bits*/, bool has_nan) {
        if (has_nan) atomicExch(&params.poisoned[list], 1u);
      },
      [&](int64_t slot) {
        for (int64_t k = 0; k < args.num_margins; ++k) {
          store_zero<Real>(args, k * args.lists.num_slots + slot);
        }
      });
}

template <typename Real>
__global__ void __launch_bounds__(kScanThreads)
    prepare_kernel(const __grid_constant__ LongListsParams<Real> params) {
  prepare_long_tile(params, blockIdx.x);
}

// The list of each sorted slot, as a sort key. Params has `orders`, `segments` and `args`.
template <class Params>
__global__ void __launch_bounds__(kScanThreads)
    list_keys_kernel(const __grid_constant__ Params params, uint32_t* keys) {
  const int64_t position = static_cast<int64_t>(blockIdx.x) * kScanThreads + threadIdx.x;
  if (position >= params.segments.size) return;
  const Lists& lists = params.args.lists;
  keys[position] = list_key(lists, list_of(lists, params.orders[0].slots[position]));
}

// Sorts slots by list, and the slots of each list by score, in two stable sorts. The arrays for the
// ranks hold the lists for now, since ranks are made later.
template <class Queue, class Params>
void launch_slot_sorts(Queue& queue, Params& params) {
  auto& orders = params.orders;
  using Key = std::remove_pointer_t<decltype(orders[0].keys)>;
  const int64_t size = params.args.lists.num_slots, num_lists = params.args.lists.num_lists;
  const SortBuffers<Key> by_score{{orders[0].keys, orders[1].keys},
                                  {orders[0].slots, orders[1].slots}};
  if (queue.sort(by_score, size, sizeof(Key) * 8) != 0) std::swap(orders[0], orders[1]);
  if (num_lists <= 1) return;
  const SortBuffers<uint32_t> by_list{{orders[0].ranks, orders[1].ranks},
                                      {orders[0].slots, orders[1].slots}};
  queue.launch((size + kScanThreads - 1) / kScanThreads, kScanThreads, list_keys_kernel<Params>,
               params, by_list.keys[0]);
  int bits = 0;
  while (num_lists >> bits != 0) ++bits;
  if (queue.sort(by_list, size, bits) != 0) std::swap(orders[0], orders[1]);
}

// Recomputes the score keys after the slots were sorted by list.
template <typename Real>
__global__ void __launch_bounds__(kScanThreads)
    score_keys_kernel(const __grid_constant__ LongListsParams<Real> params) {
  const int64_t position = static_cast<int64_t>(blockIdx.x) * kScanThreads + threadIdx.x;
  if (position >= params.segments.size) return;
  const int64_t slot = params.orders[0].slots[position];
  params.orders[0].keys[position] = params.sort_key(slot, list_of(params.args.lists, slot));
}

}  // namespace fused_rankloss::cuda
