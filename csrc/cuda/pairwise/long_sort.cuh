// SPDX-License-Identifier: BSD-3-Clause
//
// Clears, prepares and sorts the slots of long lists within their kernel, for calls that are too
// small to fill a GPU: what counts there is how often it waits, for a launch or for the grid.
//
//   1. flags and levels to 0
//   2. keys, slots and lists of all items, poisoned lists, levels of labels (prepare_long_tile);
//   the
//      first histograms
//   3. a pass for each digit: those of the scores, then those of the lists
//
// The order is that of the library's sorts, by score and then by list: each is stable, and so are
// both together in one sort, by digits of two words.
//
// Mapping      see primitives/grid_radix_sort.cuh; a block prepares the tiles that it sorts
// Memory       A pass reads and writes 8 bytes an item, 12 with lists, 4 more for fp64 scores
// Determinism  as the library's, bit by bit
#pragma once

#include "cuda/lists/prepare.cuh"
#include "cuda/lists/score_order.cuh"
#include "cuda/primitives/grid_radix_sort.cuh"

namespace fused_rankloss::cuda::pairwise {

// Keys of scores with their slots and, in a batch of several, their lists, which lie where ranks
// of labels come later.
template <typename Key>
struct SortedSlots {
  static constexpr int kKeyDigits = sizeof(Key);

  struct Item {
    Key key;
    uint32_t slot;
    uint32_t list;
  };

  Order<Key> from;  // what to sort; afterwards sorted
  Order<Key> to;
  bool has_lists;

  // Those that decide. fp16 scores have 10 bits of the 23 in an fp32 mantissa, bf16 ones have 7:
  // the bits below are all 0, or all 1 in keys of negative scores.
  FRL_HD static uint32_t digits_of(ScoreType score_type, int64_t num_lists) {
    uint32_t digits = (1u << kKeyDigits) - 1;
    if (score_type == ScoreType::kHalf) digits &= ~1u;
    if (score_type == ScoreType::kBFloat16) digits &= ~3u;
    // The last number is that of no list.
    for (int d = 0; num_lists > 1 && num_lists >> 8 * d != 0; ++d) digits |= 1u << (kKeyDigits + d);
    return digits;
  }

  __device__ __forceinline__ Item load(int64_t at) const {
    return {from.keys[at], from.slots[at], has_lists ? from.ranks[at] : 0};
  }
  __device__ __forceinline__ int digit(const Item& item, int digit) const {
    return static_cast<int>(digit < kKeyDigits ? item.key >> 8 * digit & 0xff
                                               : item.list >> 8 * (digit - kKeyDigits) & 0xff);
  }
  __device__ __forceinline__ void store(uint32_t place, const Item& item) const {
    to.keys[place] = item.key;
    to.slots[place] = item.slot;
    if (has_lists) to.ranks[place] = item.list;
  }
  __device__ __forceinline__ void swap() {
    const Order<Key> sorted = to;
    to = from;
    from = sorted;
  }
};

// All threads of the team call this; what it leaves in `slots.from` is sorted, unless no list is
// long.
template <typename Real, class Team>
__device__ __forceinline__ void sort_slots(const Team& team, TeamSort::Shared& shared,
                                           const LongListsParams<Real>& params,
                                           SortedSlots<ScoreKey<Real>>& slots) {
  const int64_t num_tiles = params.segments.num_tiles();
  const int64_t first = team.rank() * kScanThreads + static_cast<int>(threadIdx.x);
  for (int64_t i = first; i < params.args.lists.num_lists; i += team.size() * kScanThreads) {
    params.poisoned[i] = 0;
  }
  if (first == 0) {
    *params.levels = LevelTable{};
    *params.any_long = 0;
  }
  team.sync();

  const Range tiles = TileChunks(team, num_tiles).of(team.rank());
#pragma unroll 1
  for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) prepare_long_tile(params, tile);
  block_barrier();

  const TeamSort sorter{params.words, params.segments.size, num_tiles};
  sorter.start(team, shared, slots, params.sort_digits);
  team.sync();
  if (*params.any_long == 0) return;
  sorter.finish(team, shared, slots, params.sort_digits);
}

}  // namespace fused_rankloss::cuda::pairwise
