// SPDX-License-Identifier: BSD-3-Clause
//
// The items of a list for the listwise losses: what a slot holds, and what a list must know of all
// of its items before anything is computed.
#pragma once

#include "args/listwise.h"
#include "cuda/lists/gain_checks.cuh"
#include "cuda/lists/load_items.cuh"
#include "cuda/primitives/block_scan.cuh"
#include "losses/listwise_terms.h"

namespace fused_rankloss::cuda::listwise {

// Exponentials are computed in fp64, as precisely as scores of a type deserve.
template <typename Real>
inline constexpr int kExpDegree = sizeof(Real) == sizeof(double) ? 13 : 8;

template <typename Real>
FRL_HD double exponential(double distance) {
  return exp_of_negative<kExpDegree<Real>>(distance);
}

FRL_HD PositionWeights position_weights(const ListwiseArgs& args) {
  return {args.position_weights, args.num_position_weights, args.exponential_positions};
}

// The slots of a list, counted from its first.
template <ListwiseLoss kLoss, typename Real>
struct ListItems {
  const ListwiseArgs& args;
  int64_t begin;

  __device__ __forceinline__ bool is_real(int64_t slot) const {
    return args.lists.is_real(begin + slot);
  }
  __device__ __forceinline__ double score(int64_t slot) const {
    return load_score<Real>(args, begin + slot);
  }
  __device__ __forceinline__ double weight(int64_t slot) const {
    return load_weight<Real>(args, begin + slot);
  }
  __device__ __forceinline__ int64_t label_key(int64_t slot) const {
    return label_key_at(args.labels, args.label_type, begin + slot);
  }
  __device__ __forceinline__ double label(int64_t slot) const {
    return label_value(label_key(slot), args.label_type);
  }
  __device__ __forceinline__ double gain(int64_t slot, double top_label) const {
    if (args.gains != nullptr) return args.gains[begin + slot];
    return gain_of(args.gain, label(slot), top_label);
  }

  // What items sort by, ascending: labels or gains from the top. Gains rise with the labels unless
  // they are given.
  __device__ __forceinline__ uint64_t sort_key(int64_t slot) const {
    if (kLoss == ListwiseLoss::kApproxNdcg && args.gains != nullptr) {
      return ~ordered_key(args.gains[begin + slot]);
    }
    return ~(static_cast<uint64_t>(label_key(slot)) ^ 0x8000000000000000ull);
  }

  __device__ __forceinline__ void store_gradient(int64_t slot, double gradient) const {
    if (args.raw_grad == nullptr) return;
    static_cast<Real*>(args.raw_grad)[begin + slot] = static_cast<Real>(gradient);
  }

  // Zeroes the gradients of the padding behind the slots that may hold items.
  __device__ __forceinline__ void clear_behind(int64_t size, int64_t thread,
                                               int64_t threads) const {
    if (!args.lists.lengths) return;
    for (int64_t slot = size + thread; slot < args.lists.width; slot += threads) {
      store_gradient(slot, 0);
    }
  }
};

// Of some items of a list. A State of block_scan.cuh.
struct ItemsState {
  uint32_t count = 0;
  uint32_t poisoned = 0;  // by an item; see is_poisoned
  double top_score = -kInfinity<double>;
  int64_t top_label = INT64_MIN;  // its key
  uint64_t ones = 0;              // bits that are 1 in some sort key
  uint64_t zeros = 0;             // bits that are 0 in some sort key

  template <ListwiseLoss kLoss, typename Real>
  __device__ __forceinline__ void add(const ListItems<kLoss, Real>& items, int64_t slot,
                                      uint64_t key) {
    const ListwiseArgs& args = items.args;
    const double score = items.score(slot);
    const int64_t label = items.label_key(slot);
    const bool poisons = !is_finite(score) || !is_weight(items.weight(slot)) ||
                         is_nan_label(label, args.label_type) ||
                         (kLoss == ListwiseLoss::kApproxNdcg &&
                          !gain_is_finite(args, items.begin + slot, items.label(slot)));
    *this = combine(*this, {1, poisons, score, label, key, ~key});
  }

  FRL_HD static ItemsState combine(const ItemsState& earlier, const ItemsState& later) {
    return {earlier.count + later.count,
            earlier.poisoned | later.poisoned,
            earlier.top_score < later.top_score ? later.top_score : earlier.top_score,
            earlier.top_label < later.top_label ? later.top_label : earlier.top_label,
            earlier.ones | later.ones,
            earlier.zeros | later.zeros};
  }

  template <typename Shuffle>
  __device__ __forceinline__ ItemsState shuffled(Shuffle shuffle) const {
    return {shuffle(count),     shuffle(poisoned), shuffle(top_score),
            shuffle(top_label), shuffle(ones),     shuffle(zeros)};
  }

  // Of all items of a list. An infinite largest label makes no distribution of labels.
  template <ListwiseLoss kLoss>
  FRL_HD bool is_poisoned(LabelType label_type) const {
    if (poisoned != 0) return true;
    if (kLoss != ListwiseLoss::kListNet || count == 0) return false;
    return !is_finite(label_value(top_label, label_type));
  }

  // Bits in which sort keys differ.
  FRL_HD uint64_t varying() const { return ones & zeros; }
};

}  // namespace fused_rankloss::cuda::listwise
