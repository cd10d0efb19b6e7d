// SPDX-License-Identifier: BSD-3-Clause
//
// Clears, prepares and sorts the slots of long lists within their kernel, for calls that are too
// small to fill a GPU. Their time depends on the number of launches and grid barriers.
//
//   1. clears flags and the GradeTable
//   2. keys, slots and lists of all items, poisoned lists, distinct labels (prepare_long_tile);
//      the first histograms
//   3. one pass per digit: those of the scores, then those of the lists
//
// The order is that of the two CUB sorts, by score and then by list: both are stable, and so is
// this one sort by the digits of two words.
//
// Mapping      see primitives/grid_radix_sort.cuh; a block prepares the tiles that it sorts
// Memory       A pass reads and writes 8 bytes per item, 12 with lists, 4 more for fp64 scores
// Determinism  bitwise the same order as CUB's
#pragma once

#include "cuda/lists/prepare.cuh"
#include "cuda/lists/score_order.cuh"
#include "cuda/primitives/grid_radix_sort.cuh"

namespace fused_rankloss::cuda::pairwise {

// Score keys with their slots and, in a batch of several lists, their lists. The lists are stored
// in the arrays of the label ranks, which are written later.
template <typename Key>
struct SortedSlots {
  static constexpr int kKeyDigits = sizeof(Key);

  struct Item {
    Key key;
    uint32_t slot;
    uint32_t list;
  };

  Order<Key> from;  // input; sorted after the last pass
  Order<Key> to;
  bool has_lists;

  // The digits in which keys can differ. fp16 scores have 10 of the 23 mantissa bits of fp32, bf16
  // scores have 7. The bits below are all 0, or all 1 in keys of negative scores.
  FRL_HD static uint32_t digits_of(ScoreType score_type, int64_t num_lists) {
    uint32_t digits = (1u << kKeyDigits) - 1;
    if (score_type == ScoreType::kHalf) digits &= ~1u;
    if (score_type == ScoreType::kBFloat16) digits &= ~3u;
    // num_lists is the key of slots of no list.
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

// All threads of the grid call this. Afterwards `slots.from` is sorted, unless no list is long.
template <typename Real, class GridType>
__device__ __forceinline__ void sort_slots(const GridType& grid, GridRadixSort::Shared& shared,
                                           const LongListsParams<Real>& params,
                                           SortedSlots<ScoreKey<Real>>& slots) {
  const int64_t num_tiles = params.segments.num_tiles();
  const int64_t first = grid.rank() * kScanThreads + static_cast<int>(threadIdx.x);
  for (int64_t i = first; i < params.args.lists.num_lists; i += grid.size() * kScanThreads) {
    params.poisoned[i] = 0;
  }
  if (first == 0) {
    *params.grades = GradeTable{};
    *params.any_long = 0;
  }
  grid.sync();

  const Range tiles = TileChunks(grid, num_tiles).of(grid.rank());
#pragma unroll 1
  for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) prepare_long_tile(params, tile);
  block_barrier();

  const GridRadixSort sorter{params.words, params.segments.size, num_tiles};
  sorter.start(grid, shared, slots, params.sort_digits);
  grid.sync();
  if (*params.any_long == 0) return;
  sorter.finish(grid, shared, slots, params.sort_digits);
}

}  // namespace fused_rankloss::cuda::pairwise
