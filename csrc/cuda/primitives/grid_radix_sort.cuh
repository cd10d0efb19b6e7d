// SPDX-License-Identifier: BSD-3-Clause
//
// A stable radix sort, least significant digit first, within a cooperative kernel. A digit is a
// byte; digits that are the same in all keys need no pass.
//
// Each block has a chunk of consecutive tiles. A pass needs the histogram of its digit in each
// chunk. Prefix sums over the histograms, and counts within the chunk, give an item's position. The
// thread that moves an item knows its next digit and its destination chunk, and counts it there:
//
//   start      each chunk's histogram of the first digit
//   each pass  moves the items to their positions; makes the histograms of the next digit
//
// so that there is one grid barrier before the first pass and one after each pass.
//
// Mapping      One block per chunk, tile by tile. In a tile, a warp has consecutive items, 8 per
//              lane, which stay in registers until their positions are known. Lanes with the same
//              digit are found by __match_any_sync.
// Memory       Each pass reads and writes an item once; the histograms take 1.5 bytes per item.
//              Each block reads the histograms of all blocks, 1 KB each. A separate scan phase
//              would save that with many blocks, but costs one more barrier.
// Determinism  the sort is stable, so the result does not depend on the grid. Atomics only count.
#pragma once

#include "common/lists.h"
#include "cuda/primitives/block_scan.cuh"
#include "cuda/primitives/grid.cuh"

namespace fused_rankloss::cuda {

// Consecutive tiles for each block of a grid: the same number for all blocks except the last ones.
struct TileChunks {
  int64_t num_tiles;
  uint32_t each;
  int64_t count;  // blocks that have any

  template <class GridType>
  __device__ __forceinline__ TileChunks(const GridType& grid, int64_t num_tiles)
      : num_tiles(num_tiles),
        each(num_tiles == 0 ? 1 : static_cast<uint32_t>((num_tiles - 1) / grid.size() + 1)),
        count((num_tiles + each - 1) / each) {}

  // The tiles of a block.
  __device__ __forceinline__ Range of(int64_t rank) const {
    return {Lists::clamp(rank * each, 0, num_tiles), Lists::clamp((rank + 1) * each, 0, num_tiles)};
  }

  __device__ __forceinline__ uint32_t chunk_of(uint32_t position) const {
    return position / kScanTile / each;
  }
};

// Indices to sort by 64-bit keys; the keys themselves are not moved.
struct KeyedIndices {
  struct Item {
    uint64_t key;
    uint32_t index;
  };

  const uint64_t* keys;  // by index
  uint32_t* from;        // indices to sort; sorted after the last pass
  uint32_t* to;          // scratch of the same size

  // Bit d: byte d of `varying` is not 0, so keys that differ in those bits differ in digit d.
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

struct GridRadixSort {
  static constexpr int kThreads = kScanThreads;
  static constexpr int kWarps = kThreads / kWarpSize;
  static constexpr int kDigits = 256;
  static constexpr int kItemsPerWarp = kScanTile / kWarps;
  static_assert(kDigits == kThreads, "a thread has one digit of a tile");
  static_assert(kItemsPerWarp == kItemsPerThread * kWarpSize, "a lane has as many items as a run");

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

  // Histograms [3, num_tiles, digits]: each pass reads one, adds to one and clears one.
  FRL_HD static int64_t workspace_words(int64_t num_tiles) { return 3 * kDigits * num_tiles; }

  uint32_t* histograms;  // workspace_words
  int64_t size;
  int64_t num_tiles;

  // `digits`: bit d is set if keys may differ in digit d. Items provides load(position),
  // digit(item, d), store(position, item), and swap(), which exchanges the arrays that load() and
  // store() use. All threads of the grid call this; afterwards load() returns sorted items.
  template <class GridType, class Items>
  __device__ __forceinline__ void sort(const GridType& grid, Shared& shared, Items& items,
                                       uint32_t digits) const {
    if (digits == 0) return;
    start(grid, shared, items, digits);
    grid.sync();
    finish(grid, shared, items, digits);
  }

  // The two phases of sort(), with a grid barrier between them. start() reads only the items of the
  // block's own chunk.
  template <class GridType, class Items>
  __device__ __forceinline__ void start(const GridType& grid, Shared& shared, const Items& items,
                                        uint32_t digits) const {
    const int thread = static_cast<int>(threadIdx.x);
    const int digit = __ffs(static_cast<int>(digits)) - 1;
    const TileChunks chunks(grid, num_tiles);
    const Range tiles = chunks.of(grid.rank());
    clear_counts(shared);
#pragma unroll 1
    for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
      int own[kItemsPerThread];
#pragma unroll
      for (int i = 0; i < kItemsPerThread; ++i) {
        const int64_t at = position(tile, i);
        own[i] = at < size ? items.digit(items.load(at), digit) : kNoDigit;
      }
#pragma unroll
      for (int i = 0; i < kItemsPerThread; ++i) count_item(shared, own[i]);
    }
    __syncthreads();
    if (grid.rank() >= chunks.count) return;
    uint32_t count = 0;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) count += shared.counts.load(warp * kDigits + thread);
    histogram(0, grid.rank())[thread] = count;
    histogram(1, grid.rank())[thread] = 0;
  }

  template <class GridType, class Items>
  __device__ __forceinline__ void finish(const GridType& grid, Shared& shared, Items& items,
                                         uint32_t digits) const {
    int turn = 0;
#pragma unroll 1
    while (digits != 0) {
      const int digit = __ffs(static_cast<int>(digits)) - 1;
      digits &= digits - 1;
      const int next = digits == 0 ? kNoDigit : __ffs(static_cast<int>(digits)) - 1;
      move(grid, shared, items, turn, digit, next);
      grid.sync();
      items.swap();
      turn = following(turn);
    }
  }

 private:
  static constexpr int kNoDigit = kDigits;  // for lanes past the end, and after the last pass

  __device__ __forceinline__ static int following(int turn) { return turn == 2 ? 0 : turn + 1; }

  __device__ __forceinline__ uint32_t* histogram(int turn, int64_t chunk) const {
    return histograms + (turn * num_tiles + chunk) * kDigits;
  }

  // The position of the thread's item i of a tile.
  __device__ __forceinline__ static int64_t position(int64_t tile, int i) {
    return tile * kScanTile + warp_index() * kItemsPerWarp + i * kWarpSize + lane_index();
  }

  __device__ __forceinline__ static void clear_counts(Shared& shared) {
    for (int digit = lane_index(); digit < kDigits; digit += kWarpSize) {
      shared.counts.store(warp_index() * kDigits + digit, 0);
    }
    __syncwarp();
  }

  // The number of items with the digit that precede the lane's item: those that the warp counted
  // before, and those of lower lanes. All lanes of a warp call this.
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

  template <class GridType, class Items>
  __device__ __forceinline__ void move(const GridType& grid, Shared& shared, const Items& items,
                                       int turn, int digit, int next_digit) const {
    const int thread = static_cast<int>(threadIdx.x);
    const TileChunks chunks(grid, num_tiles);
    if (grid.rank() >= chunks.count) return;
    uint32_t* next = histogram(following(turn), 0);
    histogram(following(following(turn)), grid.rank())[thread] = 0;

    const uint32_t* counted = histogram(turn, 0) + thread;
    uint32_t before = 0, total = 0;
#pragma unroll 8
    for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
      const uint32_t count = counted[chunk * kDigits];
      if (chunk < grid.rank()) before += count;
      total += count;
    }
    // The destination of the chunk's next item with the thread's digit.
    uint32_t place =
        before + scan_block<Sweep::kUp, kThreads>(shared.scan, Count{total}).before.count;

    const Range tiles = chunks.of(grid.rank());
#pragma unroll 1
    for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
      typename Items::Item own[kItemsPerThread];
      // Packed: the digit (8 bits), the next digit (8), the rank among the warp's items (16).
      uint32_t facts[kItemsPerThread] = {};
      clear_counts(shared);
#pragma unroll
      for (int i = 0; i < kItemsPerThread; ++i) {
        if (position(tile, i) >= size) continue;
        own[i] = items.load(position(tile, i));
        facts[i] = items.digit(own[i], digit);
        if (next_digit != kNoDigit) facts[i] |= items.digit(own[i], next_digit) << 8;
      }
#pragma unroll
      for (int i = 0; i < kItemsPerThread; ++i) {
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
      for (int i = 0; i < kItemsPerThread; ++i) {
        if (position(tile, i) >= size) continue;
        const int cell = warp_index() * kDigits + static_cast<int>(facts[i] & 0xff);
        const uint32_t to = shared.counts.load(cell) + (facts[i] >> 16);
        items.store(to, own[i]);
        if (next_digit != kNoDigit) {
          atomicAdd(&next[chunks.chunk_of(to) * kDigits + (facts[i] >> 8 & 0xff)], 1u);
        }
      }
      __syncwarp();  // before the warp clears its counts for the next tile
    }
  }
};

}  // namespace fused_rankloss::cuda
