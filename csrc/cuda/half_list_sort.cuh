// SPDX-License-Identifier: BSD-3-Clause
//
// What becomes of a list of 16-bit scores that has more levels of labels than half_list.cuh counts:
// it is sorted by its 16 bits and solved as long_lists.cuh does, by one cooperative launch. Where
// there are few levels, which the host cannot know, nothing happens here.
//
// Memory       25 bytes a slot, see LongListsPlan
// Determinism  the sort is stable, and the rest is that of LongLists
#pragma once

#include "cuda/half_list.cuh"
#include "cuda/long_lists.cuh"

namespace fused_rankloss {

struct HalfListSortShared {
  LongListsShared lists;
  TeamSort::Shared sort;
};

template <class Team>
class HalfListSort {
 public:
  __device__ __forceinline__ HalfListSort(const Team& team, HalfListSortShared& shared,
                                          const LongListsParams<float>& params)
      : team_(team), shared_(shared), params_(params), args_(params.args) {}

  // All threads of the team call this.
  __device__ __forceinline__ void solve() {
    read_items();
    team_.sync();
    TeamSort sorter{sort_keys(),   params_.orders[0].ranks, params_.orders[1].ranks,
                    params_.words, args_.lists.num_slots,   params_.segments.num_tiles()};
    sorter.sort(team_, shared_.sort, kPadding | (kPadding - 1));
    for_slots(team_, args_.lists.num_slots, [&](int64_t position) {
      const uint32_t slot = sorter.indices[position];
      params_.orders[0].slots[position] = slot;
      params_.orders[0].keys[position] = params_.sort_key(slot, 0);
    });
    team_.sync();
    LongLists<LongCounts<float>, Team>(team_, shared_.lists, params_).solve();
  }

 private:
  static constexpr uint64_t kPadding = kHalfKeys;  // sorts behind all items

  // Where the second order's keys and slots will be.
  __device__ __forceinline__ uint64_t* sort_keys() const {
    return reinterpret_cast<uint64_t*>(params_.orders[1].keys);
  }

  // The levels are known to be too many; which bits their labels differ in is not.
  __device__ __forceinline__ void read_items() const {
    for_slots(team_, args_.lists.num_slots, [this](int64_t slot) {
      params_.orders[0].ranks[slot] = static_cast<uint32_t>(slot);
      if (real_range(args_.lists, 0, slot).size() > 0) {
        sort_keys()[slot] = read_item(slot);
        return;
      }
      sort_keys()[slot] = kPadding;
      for (int64_t k = 0; args_.raw_grad != nullptr && k < args_.num_margins; ++k) {
        store_zero<float>(args_, k * args_.lists.num_slots + slot);
      }
    });
  }

  __device__ __forceinline__ uint64_t read_item(int64_t slot) const {
    const int64_t label = label_key_at(args_.labels, args_.label_type, slot);
    const uint64_t label_bits = LevelTable::key(label);
    params_.levels->insert_bits(label_bits, ~label_bits);
    const float score = load_score<float>(args_, slot);
    if (score != score || is_nan_label(label, args_.label_type)) {
      atomicExch(&params_.poisoned[0], 1u);
    }
    // As LongListsParams::sort_key, all NaN are one, and above all numbers.
    return score == score ? half_key_at(args_, slot) : kHalfKeys - 1;
  }

  const Team& team_;
  HalfListSortShared& shared_;
  const LongListsParams<float>& params_;
  const PairwiseArgs& args_;
};

__global__ void __launch_bounds__(kScanThreads, kLongBlocks)
    sort_half_list_kernel(const __grid_constant__ LongListsParams<float> params) {
  __shared__ HalfListSortShared shared;
  if (!params.levels->is_sorted_by()) return;
  const GridTeam team;
  HalfListSort<GridTeam>(team, shared, params).solve();
}

}  // namespace fused_rankloss
