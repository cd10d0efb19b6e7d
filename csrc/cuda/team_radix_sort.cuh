// SPDX-License-Identifier: BSD-3-Clause
//
// A stable radix sort of indices by 64-bit keys, least significant digit first, within a kernel.
//
// For keys whose number and width only the device knows: a digit that is the same in all keys is
// skipped. Every other one is a pass of three phases:
//
//   1. histogram of the digit in each tile
//   2. for each digit, where its items of each tile go among those of all tiles (a scan)
//   3. every item to its place
//
// Mapping      A block a tile; in it, a warp has consecutive items, 32 at a time. Lanes with one
//              digit find each other by a vote. Phase 2: a warp a digit.
// Memory       8 random bytes an item and phase for its key; the histograms are half a byte an item
// Determinism  the sort is stable: there is one result
#pragma once

#include "cuda/block_scan.cuh"
#include "cuda/team.cuh"

namespace fused_rankloss {

struct TeamSort {
  static constexpr int kThreads = kScanThreads;
  static constexpr int kWarps = kThreads / kWarpSize;
  static constexpr int kDigitBits = 8;
  static constexpr int kDigits = 1 << kDigitBits;
  static constexpr int kItemsPerWarp = kScanTile / kWarps;
  static_assert(kDigits == kThreads, "a thread has one digit of a tile");

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

  // Histograms [digits, num_tiles] and totals [digits].
  FRL_HD static int64_t workspace_words(int64_t num_tiles) { return kDigits * (num_tiles + 1); }

  const uint64_t* keys;  // by index
  uint32_t* indices;     // what to sort; afterwards sorted
  uint32_t* other;       // as many, for the way
  uint32_t* histograms;  // workspace_words
  int64_t size;
  int64_t num_tiles;

  // `varying`: the bits in which keys differ. All threads of the team call this.
  template <class Team>
  __device__ __forceinline__ void sort(const Team& team, Shared& shared, uint64_t varying) {
#pragma unroll 1
    for (int shift = 0; shift < 64; shift += kDigitBits) {
      if ((varying >> shift & (kDigits - 1)) == 0) continue;
      count_digits(team, shared, shift);
      team.sync();
      scan_rows(team);
      team.sync();
      scatter(team, shared, shift);
      team.sync();
      uint32_t* sorted = other;
      other = indices;
      indices = sorted;
    }
  }

 private:
  static constexpr int kNoDigit = kDigits;  // of lanes past the end

  // Calls body(index, digit, lanes with that digit) for the warp's items in their order.
  template <typename Body>
  __device__ __forceinline__ void for_warp_items(int64_t tile, int shift, Body&& body) const {
    const int64_t first = tile * kScanTile + warp_index() * kItemsPerWarp + lane_index();
#pragma unroll 1
    for (int64_t at = first; at < first + kItemsPerWarp; at += kWarpSize) {
      const bool there = at < size;
      const uint32_t index = there ? indices[at] : 0;
      const int digit = there ? static_cast<int>(keys[index] >> shift & (kDigits - 1)) : kNoDigit;
      body(index, digit, __match_any_sync(kAllLanes, digit));
    }
  }

  // Counts the digits of each of the block's warps.
  __device__ __forceinline__ void count_warps(Shared& shared, int64_t tile, int shift) const {
    const int row = warp_index() * kDigits;
    for (int digit = lane_index(); digit < kDigits; digit += kWarpSize) {
      shared.counts.store(row + digit, 0);
    }
    __syncwarp();
    for_warp_items(tile, shift, [&](uint32_t, int digit, unsigned peers) {
      if (digit != kNoDigit && lane_index() == __ffs(peers) - 1) {
        shared.counts.store(row + digit, shared.counts.load(row + digit) + __popc(peers));
      }
      __syncwarp();
    });
  }

  template <class Team>
  __device__ __forceinline__ void count_digits(const Team& team, Shared& shared, int shift) const {
    const int digit = static_cast<int>(threadIdx.x);
#pragma unroll 1
    for (int64_t tile = team.rank(); tile < num_tiles; tile += team.size()) {
      count_warps(shared, tile, shift);
      __syncthreads();
      uint32_t count = 0;
      for (int warp = 0; warp < kWarps; ++warp) {
        count += shared.counts.load(warp * kDigits + digit);
      }
      histograms[digit * num_tiles + tile] = count;
      __syncthreads();  // before the next tile is counted
    }
  }

  template <class Team>
  __device__ __forceinline__ void scan_rows(const Team& team) const {
    const int64_t first = team.rank() * kWarps + warp_index();
#pragma unroll 1
    for (int64_t digit = first; digit < kDigits; digit += team.size() * kWarps) {
      const uint32_t total = scan_numbers(histograms + digit * num_tiles, num_tiles);
      if (lane_index() == 0) histograms[kDigits * num_tiles + digit] = total;
    }
  }

  template <class Team>
  __device__ __forceinline__ void scatter(const Team& team, Shared& shared, int shift) const {
    const int own_digit = static_cast<int>(threadIdx.x);
    const Count total{histograms[kDigits * num_tiles + own_digit]};
    const uint32_t base = scan_block<Sweep::kUp, kThreads>(shared.scan, total).before.count;
#pragma unroll 1
    for (int64_t tile = team.rank(); tile < num_tiles; tile += team.size()) {
      count_warps(shared, tile, shift);
      __syncthreads();
      uint32_t place = base + histograms[own_digit * num_tiles + tile];
      for (int warp = 0; warp < kWarps; ++warp) {
        const int cell = warp * kDigits + own_digit;
        const uint32_t count = shared.counts.load(cell);
        shared.counts.store(cell, place);
        place += count;
      }
      __syncthreads();
      for_warp_items(tile, shift, [&](uint32_t index, int digit, unsigned peers) {
        const int cell = warp_index() * kDigits + digit;
        const unsigned earlier = peers & ((1u << lane_index()) - 1);
        const uint32_t first = digit != kNoDigit ? shared.counts.load(cell) : 0;
        if (digit != kNoDigit) other[first + __popc(earlier)] = index;
        __syncwarp();
        if (digit != kNoDigit && earlier == 0) shared.counts.store(cell, first + __popc(peers));
        __syncwarp();
      });
      __syncthreads();  // before the next tile is counted
    }
  }
};

}  // namespace fused_rankloss
