// SPDX-License-Identifier: BSD-3-Clause
//
// The ranks of labels among the distinct labels of a batch.
//
// Few levels are collected in a table while the items are first read: a rank is then the number of
// smaller entries, and nothing is sorted. With more levels the items are sorted by label
// (primitives/grid_radix_sort.cuh), in passes over the bytes in which labels differ at all; ranks
// count the changes of label in that order.
//
// Determinism  The order of the table's entries is that of a race, but nothing depends on it
#pragma once

#include "args/list_inputs.h"
#include "cuda/lists/score_order.cuh"
#include "cuda/primitives/grid_radix_sort.cuh"

namespace fused_rankloss::cuda {

// The distinct labels, as keys that sort unsigned: up to kEntries and the one whose key is 0.
struct LevelTable {
  static constexpr int kEntries = 8;

  unsigned long long entries[kEntries];  // 0: free
  unsigned long long ones;               // bits that are 1 in some key
  unsigned long long zeros;              // bits that are 0 in some key
  uint32_t has_zero;
  uint32_t has_more;    // than fit
  uint32_t num_levels;  // of sorted labels

  FRL_HD static uint64_t key(int64_t label) {
    return static_cast<uint64_t>(label) ^ 0x8000000000000000ull;
  }
  FRL_HD static uint64_t key(const ListInputs& args, int64_t slot) {
    return key(label_key_at(args.labels, args.label_type, slot));
  }

  FRL_HD static int64_t label(uint64_t key) {
    return static_cast<int64_t>(key ^ 0x8000000000000000ull);
  }

  // Returns the index of the key's entry, kEntries for the key 0, and -1 where there is no room.
  // Looks before it writes: a handful of writes a batch is all that there is to do.
  __device__ __forceinline__ int insert(uint64_t key) {
    if (current(has_more) != 0) return -1;
    if (key == 0) {
      if (current(has_zero) == 0) atomicExch(&has_zero, 1u);
      return kEntries;
    }
#pragma unroll 1
    for (int i = 0; i < kEntries; ++i) {
      unsigned long long there = current(entries[i]);
      if (there == 0) there = atomicCAS(&entries[i], 0ull, static_cast<unsigned long long>(key));
      if (there == 0 || there == key) return i;
    }
    atomicExch(&has_more, 1u);
    return -1;
  }

  __device__ __forceinline__ void insert_bits(uint64_t of_ones, uint64_t of_zeros) {
    if ((of_ones & ~current(ones)) != 0) atomicOr(&ones, static_cast<unsigned long long>(of_ones));
    if ((of_zeros & ~current(zeros)) != 0) {
      atomicOr(&zeros, static_cast<unsigned long long>(of_zeros));
    }
  }

  FRL_HD bool is_sorted_by() const { return has_more != 0; }

  FRL_HD uint32_t size() const {
    if (has_more != 0) return num_levels;
    uint32_t size = has_zero;
    for (const unsigned long long entry : entries) size += entry != 0;
    return size;
  }

  // Among the entries, which have no gaps.
  __device__ __forceinline__ uint32_t rank(uint64_t key) const {
    uint32_t rank = has_zero & (key != 0);
#pragma unroll 1
    for (int i = 0; i < kEntries && entries[i] != 0; ++i) rank += entries[i] < key;
    return rank;
  }

 private:
  template <typename T>
  __device__ __forceinline__ static T current(const T& value) {
    return static_cast<const volatile T&>(value);
  }
};

struct LabelRanksShared {
  TeamSort::Shared sort;
  ScanShared<TeamSort::Count, kScanThreads> scan;
};

// The ranks of many levels. Works in what the first round does not need yet.
template <typename Key>
struct LabelRanks {
  Order<Key> order;  // by score: `ranks` is written
  uint32_t* other;   // [positions]
  uint64_t* labels;  // [positions]
  uint32_t* words;   // TeamSort::workspace_words, and then one a tile
  LevelTable* levels;
  int64_t size;
  int64_t num_tiles;

  // All threads of the team call this. Returns where the ranks are: one of order.ranks and `other`.
  template <class Team>
  __device__ __forceinline__ uint32_t* sort(const Team& team, LabelRanksShared& shared,
                                            const ListInputs& args) const {
    read_labels(team, args);
    team.sync();
    KeyedIndices indices{labels, order.ranks, other};
    const TeamSort sorter{words, size, num_tiles};
    sorter.sort(team, shared.sort, indices, KeyedIndices::digits_of(levels->ones & levels->zeros));
    uint32_t* changes = words + TeamSort::workspace_words(num_tiles);
    count_changes(team, shared, indices.from, changes);
    team.sync();
    if (team.rank() == 0) scan_changes(shared, changes);
    team.sync();
    number_levels(team, shared, indices.from, changes, indices.to);
    team.sync();
    return indices.to;
  }

 private:
  // What is inert has the label of some item, which makes no level of its own.
  template <class Team>
  __device__ __forceinline__ void read_labels(const Team& team, const ListInputs& args) const {
    for_positions(team, [&](int64_t position) {
      labels[position] = order.keys[position] == kInertKey<Key>
                             ? levels->entries[0]
                             : LevelTable::key(args, order.slots[position]);
      order.ranks[position] = static_cast<uint32_t>(position);
    });
  }

  template <class Team, typename Body>
  __device__ __forceinline__ void for_positions(const Team& team, Body&& body) const {
    for (int64_t tile = team.rank(); tile < num_tiles; tile += team.size()) {
      for (int i = 0; i < kScanRun; ++i) {
        const int64_t position = tile * kScanTile + i * kScanThreads + threadIdx.x;
        if (position < size) body(position);
      }
    }
  }

  // Bit p: the label at first + p of the sorted order is another one than that before it.
  __device__ __forceinline__ unsigned changes_in_run(const uint32_t* sorted, int64_t first) const {
    unsigned changes = 0;
    for (int p = 0; p < kScanRun; ++p) {
      const int64_t at = first + p;
      const bool change = at > 0 && at < size && labels[sorted[at]] != labels[sorted[at - 1]];
      changes |= static_cast<unsigned>(change) << p;
    }
    return changes;
  }

  template <class Team>
  __device__ __forceinline__ void count_changes(const Team& team, LabelRanksShared& shared,
                                                const uint32_t* sorted, uint32_t* changes) const {
    for (int64_t tile = team.rank(); tile < num_tiles; tile += team.size()) {
      const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kScanRun;
      const TeamSort::Count own{static_cast<uint32_t>(__popc(changes_in_run(sorted, first)))};
      const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared.scan, own);
      if (threadIdx.x == 0) changes[tile] = scanned.total.count;
    }
  }

  // One block calls this.
  __device__ __forceinline__ void scan_changes(LabelRanksShared& shared, uint32_t* changes) const {
    uint32_t total = 0;
    for (int64_t first = 0; first < num_tiles; first += kScanThreads) {
      const int64_t tile = first + threadIdx.x;
      const TeamSort::Count own{tile < num_tiles ? changes[tile] : 0};
      const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared.scan, own);
      if (tile < num_tiles) changes[tile] = total + scanned.before.count;
      total += scanned.total.count;
    }
    if (threadIdx.x == 0) levels->num_levels = total + 1;
  }

  template <class Team>
  __device__ __forceinline__ void number_levels(const Team& team, LabelRanksShared& shared,
                                                const uint32_t* sorted, const uint32_t* changes,
                                                uint32_t* ranks) const {
    for (int64_t tile = team.rank(); tile < num_tiles; tile += team.size()) {
      const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kScanRun;
      const unsigned own = changes_in_run(sorted, first);
      const TeamSort::Count count{static_cast<uint32_t>(__popc(own))};
      const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared.scan, count);
      const uint32_t before = changes[tile] + scanned.before.count;
      for (int p = 0; p < kScanRun && first + p < size; ++p) {
        const uint32_t position = sorted[first + p];
        const uint32_t rank = before + __popc(own & ((2u << p) - 1));
        ranks[position] = order.keys[position] == kInertKey<Key> ? kInertRank : rank;
      }
    }
  }
};

}  // namespace fused_rankloss::cuda
