// SPDX-License-Identifier: BSD-3-Clause
//
// A stable radix sort, least significant digit first, within a kernel. A digit is a byte; those
// that are the same in all keys need no pass.
//
// A block has consecutive tiles, its chunk. A pass needs to know how often each digit occurs in
// each chunk; sums over these, and counts within the chunk, say where an item goes. Whoever moves
// an item knows its next digit and the chunk it arrives in, and counts it there:
//
//   start    each chunk's histogram of the first digit
//   a pass   its items to their places; the histograms of the next digit
//
// so that there is one barrier of the team before the first pass and one after each.
//
// Mapping      A block a chunk, tile by tile; in a tile, a warp has consecutive items, 8 a lane,
//              which wait in registers for their places. Lanes with one digit find each other by a
//              vote.
// Memory       An item is read and written once a pass; the histograms are 1.5 bytes an item. A
//              block reads those of all blocks, 1 KB each: what a scan in a phase of its own would
//              save with many blocks, its barrier costs
// Determinism  the sort is stable: there is one result, whatever the team. Atomics count.
#pragma once

#include "common/lists.h"
#include "cuda/primitives/block_scan.cuh"
#include "cuda/primitives/grid.cuh"

namespace fused_rankloss::cuda {

// Consecutive tiles for each block of a team: the same number for all but the last ones.
struct TileChunks {
  int64_t num_tiles;
  uint32_t each;
  int64_t count;  // blocks that have any

  template <class Team>
  __device__ __forceinline__ TileChunks(const Team& team, int64_t num_tiles)
      : num_tiles(num_tiles),
        each(num_tiles == 0 ? 1 : static_cast<uint32_t>((num_tiles - 1) / team.size() + 1)),
        count((num_tiles + each - 1) / each) {}

  // The tiles of a block.
  __device__ __forceinline__ Range of(int64_t rank) const {
    return {Lists::clamp(rank * each, 0, num_tiles), Lists::clamp((rank + 1) * each, 0, num_tiles)};
  }

  __device__ __forceinline__ uint32_t chunk_of(uint32_t position) const {
    return position / kScanTile / each;
  }
};

// Indices to sort by 64-bit keys, which stay where they are.
struct KeyedIndices {
  struct Item {
    uint64_t key;
    uint32_t index;
  };

  const uint64_t* keys;  // by index
  uint32_t* from;        // what to sort; afterwards sorted
  uint32_t* to;          // as many, for the way

  // The digits of keys that differ in such bits.
  __device__ __forceinline__ static uint32_t digits_of(uint64_t varying) {
    uint32_t digits = 0;
#pragma unroll 1
    for (int digit = 0; digit < 8; ++digit) {
      digits |= static_cast<uint32_t>((varying >> 8 * digit & 0xff) != 0) << digit;
    }
    return digits;
  }

  __device__ __forceinline__ Item load(int64_t at) const {
    const uint32_t index = from[at];
    return {keys[index], index};
  }
  __device__ __forceinline__ int digit(const Item& item, int digit) const {
    return static_cast<int>(item.key >> 8 * digit & 0xff);
  }
  __device__ __forceinline__ void store(uint32_t place, const Item& item) const {
    to[place] = item.index;
  }
  __device__ __forceinline__ void swap() {
    uint32_t* sorted = to;
    to = from;
    from = sorted;
  }
};

struct TeamSort {
  static constexpr int kThreads = kScanThreads;
  static constexpr int kWarps = kThreads / kWarpSize;
  static constexpr int kDigits = 256;
  static constexpr int kItemsPerWarp = kScanTile / kWarps;
  static_assert(kDigits == kThreads, "a thread has one digit of a tile");
  static_assert(kItemsPerWarp == kScanRun * kWarpSize, "a lane has as many items as a run");

  struct Count {
    uint32_t count = 0;

    FRL_HD static Count combine(const Count& earlier, const Count& later) {
      return {earlier.count + later.count};
    }
    template <typename Shuffle>
    __device__ __forceinline__ Count shuffled(Shuffle shuffle) const {
      return {shuffle(count)};
    }
  };

  struct Shared {
    SharedArray<uint32_t, kWarps * kDigits> counts;  // [warps, digits]
    ScanShared<Count, kThreads> scan;
  };

  // Histograms [3, num_tiles, digits]: one is read in a pass, one added to, one cleared.
  FRL_HD static int64_t workspace_words(int64_t num_tiles) { return 3 * kDigits * num_tiles; }

  uint32_t* histograms;  // workspace_words
  int64_t size;
  int64_t num_tiles;

  // `digits`: bit d where keys may differ in digit d. Items know how to load(position) an item,
  // its digit(item, d), how to store(position, item), and to swap() what they load from and store
  // to. All threads of the team call this; the result is what would be loaded then.
  template <class Team, class Items>
  __device__ __forceinline__ void sort(const Team& team, Shared& shared, Items& items,
                                       uint32_t digits) const {
    if (digits == 0) return;
    start(team, shared, items, digits);
    team.sync();
    finish(team, shared, items, digits);
  }

  // The two parts of it, with a barrier of the team between them. The first one reads the items of
  // the block's own chunk only.
  template <class Team, class Items>
  __device__ __forceinline__ void start(const Team& team, Shared& shared, const Items& items,
                                        uint32_t digits) const {
    const int thread = static_cast<int>(threadIdx.x);
    const int digit = __ffs(static_cast<int>(digits)) - 1;
    const TileChunks chunks(team, num_tiles);
    const Range tiles = chunks.of(team.rank());
    clear_counts(shared);
#pragma unroll 1
    for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
      int own[kScanRun];
#pragma unroll
      for (int i = 0; i < kScanRun; ++i) {
        const int64_t at = position(tile, i);
        own[i] = at < size ? items.digit(items.load(at), digit) : kNoDigit;
      }
#pragma unroll
      for (int i = 0; i < kScanRun; ++i) count_item(shared, own[i]);
    }
    __syncthreads();
    if (team.rank() >= chunks.count) return;
    uint32_t count = 0;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) count += shared.counts.load(warp * kDigits + thread);
    histogram(0, team.rank())[thread] = count;
    histogram(1, team.rank())[thread] = 0;
  }

  template <class Team, class Items>
  __device__ __forceinline__ void finish(const Team& team, Shared& shared, Items& items,
                                         uint32_t digits) const {
    int turn = 0;
#pragma unroll 1
    while (digits != 0) {
      const int digit = __ffs(static_cast<int>(digits)) - 1;
      digits &= digits - 1;
      const int next = digits == 0 ? kNoDigit : __ffs(static_cast<int>(digits)) - 1;
      move(team, shared, items, turn, digit, next);
      team.sync();
      items.swap();
      turn = following(turn);
    }
  }

 private:
  static constexpr int kNoDigit = kDigits;  // of lanes past the end, and after the last pass

  __device__ __forceinline__ static int following(int turn) { return turn == 2 ? 0 : turn + 1; }

  __device__ __forceinline__ uint32_t* histogram(int turn, int64_t chunk) const {
    return histograms + (turn * num_tiles + chunk) * kDigits;
  }

  // Where the thread's item i of a tile is.
  __device__ __forceinline__ static int64_t position(int64_t tile, int i) {
    return tile * kScanTile + warp_index() * kItemsPerWarp + i * kWarpSize + lane_index();
  }

  __device__ __forceinline__ static void clear_counts(Shared& shared) {
    for (int digit = lane_index(); digit < kDigits; digit += kWarpSize) {
      shared.counts.store(warp_index() * kDigits + digit, 0);
    }
    __syncwarp();
  }

  // The number of items with the digit among those that the warp has counted before, and in the
  // lanes below. All lanes of a warp call this.
  __device__ __forceinline__ static uint32_t count_item(Shared& shared, int digit) {
    const int cell = warp_index() * kDigits + digit;
    const unsigned peers = __match_any_sync(kAllLanes, digit);
    const unsigned earlier = peers & ((1u << lane_index()) - 1);
    const uint32_t before = digit != kNoDigit ? shared.counts.load(cell) : 0;
    __syncwarp();
    if (digit != kNoDigit && earlier == 0) shared.counts.store(cell, before + __popc(peers));
    __syncwarp();
    return before + __popc(earlier);
  }

  template <class Team, class Items>
  __device__ __forceinline__ void move(const Team& team, Shared& shared, const Items& items,
                                       int turn, int digit, int next_digit) const {
    const int thread = static_cast<int>(threadIdx.x);
    const TileChunks chunks(team, num_tiles);
    if (team.rank() >= chunks.count) return;
    uint32_t* next = histogram(following(turn), 0);
    histogram(following(following(turn)), team.rank())[thread] = 0;

    const uint32_t* counted = histogram(turn, 0) + thread;
    uint32_t before = 0, total = 0;
#pragma unroll 8
    for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
      const uint32_t count = counted[chunk * kDigits];
      if (chunk < team.rank()) before += count;
      total += count;
    }
    // Where the chunk's next item with the thread's digit goes.
    uint32_t place =
        before + scan_block<Sweep::kUp, kThreads>(shared.scan, Count{total}).before.count;

    const Range tiles = chunks.of(team.rank());
#pragma unroll 1
    for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
      typename Items::Item own[kScanRun];
      // The digit, then the next digit, each a byte, and the place among the warp's.
      uint32_t facts[kScanRun] = {};
      clear_counts(shared);
#pragma unroll
      for (int i = 0; i < kScanRun; ++i) {
        if (position(tile, i) >= size) continue;
        own[i] = items.load(position(tile, i));
        facts[i] = items.digit(own[i], digit);
        if (next_digit != kNoDigit) facts[i] |= items.digit(own[i], next_digit) << 8;
      }
#pragma unroll
      for (int i = 0; i < kScanRun; ++i) {
        const bool there = position(tile, i) < size;
        const int own_digit = there ? static_cast<int>(facts[i] & 0xff) : kNoDigit;
        facts[i] |= count_item(shared, own_digit) << 16;
      }
      __syncthreads();
#pragma unroll
      for (int warp = 0; warp < kWarps; ++warp) {
        const int cell = warp * kDigits + thread;
        const uint32_t count = shared.counts.load(cell);
        shared.counts.store(cell, place);
        place += count;
      }
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kScanRun; ++i) {
        if (position(tile, i) >= size) continue;
        const int cell = warp_index() * kDigits + static_cast<int>(facts[i] & 0xff);
        const uint32_t to = shared.counts.load(cell) + (facts[i] >> 16);
        items.store(to, own[i]);
        if (next_digit != kNoDigit) {
          atomicAdd(&next[chunks.chunk_of(to) * kDigits + (facts[i] >> 8 & 0xff)], 1u);
        }
      }
      __syncwarp();  // before the warp's counts of the next tile
    }
  }
};

}  // namespace fused_rankloss::cuda
