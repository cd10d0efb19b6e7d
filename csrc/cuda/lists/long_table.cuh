// SPDX-License-Identifier: BSD-3-Clause
//
// A table of the long lists of a call, in ascending order. Tiles and other work items are numbered
// consecutively over all long lists.
#pragma once

#include "cuda/lists/lists.cuh"
#include "cuda/lists/policy.h"
#include "cuda/primitives/block_scan.cuh"

namespace fused_rankloss::cuda {

struct LongListCounts {
  int64_t lists = 0;
  int64_t tiles = 0;
  int64_t chunks = 0;
  int64_t partials = 0;

  FRL_HD static LongListCounts combine(const LongListCounts& a, const LongListCounts& b) {
    return {a.lists + b.lists, a.tiles + b.tiles, a.chunks + b.chunks, a.partials + b.partials};
  }
  template <typename Shuffle>
  __device__ __forceinline__ LongListCounts shuffled(Shuffle shuffle) const {
    return {shuffle(lists), shuffle(tiles), shuffle(chunks), shuffle(partials)};
  }
};

using LongTableShared = ScanShared<LongListCounts, kScanThreads>;

FRL_HD int64_t num_scan_tiles(int64_t size) { return (size + kScanTile - 1) / kScanTile; }

// The record of the list that has work item `index`. `kFirst` is the member with the index of the
// list's first work item of that kind.
template <auto kFirst, class Record>
FRL_HD const Record& record_with(const Record* records, int64_t size, int64_t index) {
  int64_t low = 0, high = size;  // [low, high) holds the last record with kFirst <= index
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (records[middle].*kFirst <= index) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return records[low];
}

// For each list of more than `crossover` slots, calls make(list, record), which returns the
// record's counts, and then store(record, counts of all records before it). Returns the counts of
// all records. All threads of one block call this.
template <class Record, typename Make, typename Store>
__device__ __forceinline__ LongListCounts number_long_lists(LongTableShared& shared,
                                                            const Lists& lists, int64_t crossover,
                                                            Make&& make, Store&& store) {
  LongListCounts before;
#pragma unroll 1
  for (int64_t step = 0; step < lists.num_lists; step += kScanThreads) {
    const int64_t list = step + threadIdx.x;
    const bool is_own = list < lists.num_lists && is_long(lists, list, crossover);
    Record record{};
    LongListCounts own;
    if (is_own) own = make(list, record);
    const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared, own);
    if (is_own) store(record, LongListCounts::combine(before, scanned.before));
    before = LongListCounts::combine(before, scanned.total);
  }
  return before;
}

}  // namespace fused_rankloss::cuda
