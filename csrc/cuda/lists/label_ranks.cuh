// SPDX-License-Identifier: BSD-3-Clause
//
// The ranks of labels among the distinct labels of a batch.
//
// A few distinct labels fit in a table that is filled while the items are first read. A rank is
// then the number of smaller entries, and no sort is needed. With more distinct labels, the items
// are sorted by label (primitives/grid_radix_sort.cuh), with a pass only for bytes in which labels
// differ. Ranks count the changes of label in that order.
//
// Determinism  A race decides the order of the table's entries, but no result depends on it
#pragma once

#include "args/list_inputs.h"
#include "cuda/lists/score_order.cuh"
#include "cuda/primitives/grid_radix_sort.cuh"

namespace fused_rankloss::cuda {

// The distinct labels as unsigned sort keys: up to kEntries, plus the one with key 0.
struct GradeTable {
  static constexpr int kEntries = 8;

  unsigned long long entries[kEntries];  // 0: free
  unsigned long long ones;               // bits that are 1 in some key
  unsigned long long zeros;              // bits that are 0 in some key
  uint32_t has_zero;
  uint32_t has_more;    // the table is full: labels are sorted
  uint32_t num_grades;  // if so, the number of distinct labels

  FRL_HD static uint64_t key(int64_t label) {
    return static_cast<uint64_t>(label) ^ 0x8000000000000000ull;
  }
  FRL_HD static uint64_t key(const ListInputs& args, int64_t slot) {
    return key(label_key_at(args.labels, args.label_type, slot));
  }

  FRL_HD static int64_t label(uint64_t key) {
    return static_cast<int64_t>(key ^ 0x8000000000000000ull);
  }

  // Returns the index of the key's entry, kEntries for the key 0, and -1 if the table is full.
  // Loads before it writes, so that a batch has only a few atomic operations.
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
    if (has_more != 0) return num_grades;
    uint32_t size = has_zero;
    for (const unsigned long long entry : entries) size += entry != 0;
    return size;
  }

  // The rank among the entries, which have no gaps.
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
  GridRadixSort::Shared sort;
  ScanShared<GridRadixSort::Count, kScanThreads> scan;
};

// The ranks of many distinct labels. Its scratch arrays are those that the first round does not
// need yet.
template <typename Key>
struct LabelRanks {
  Order<Key> order;  // sorted by score; `ranks` is written
  uint32_t* other;   // [positions]
  uint64_t* labels;  // [positions]
  uint32_t* words;   // GridRadixSort::workspace_words, and then one per tile
  GradeTable* grades;
  int64_t size;
  int64_t num_tiles;

  // All threads of the grid call this. Returns the array with the ranks: order.ranks or `other`.
  template <class GridType>
  __device__ __forceinline__ uint32_t* sort(const GridType& grid, LabelRanksShared& shared,
                                            const ListInputs& args) const {
    read_labels(grid, args);
    grid.sync();
    KeyedIndices indices{labels, order.ranks, other};
    const GridRadixSort sorter{words, size, num_tiles};
    sorter.sort(grid, shared.sort, indices, KeyedIndices::digits_of(grades->ones & grades->zeros));
    uint32_t* changes = words + GridRadixSort::workspace_words(num_tiles);
    count_changes(grid, shared, indices.from, changes);
    grid.sync();
    if (grid.rank() == 0) scan_changes(shared, changes);
    grid.sync();
    number_grades(grid, shared, indices.from, changes, indices.to);
    grid.sync();
    return indices.to;
  }

 private:
  // An inert position gets the label of some item, so that it adds no distinct label.
  template <class GridType>
  __device__ __forceinline__ void read_labels(const GridType& grid, const ListInputs& args) const {
    for_positions(grid, [&](int64_t position) {
      labels[position] = order.keys[position] == kInertKey<Key>
                             ? grades->entries[0]
                             : GradeTable::key(args, order.slots[position]);
      order.ranks[position] = static_cast<uint32_t>(position);
    });
  }

  template <class GridType, typename Body>
  __device__ __forceinline__ void for_positions(const GridType& grid, Body&& body) const {
    for (int64_t tile = grid.rank(); tile < num_tiles; tile += grid.size()) {
      for (int i = 0; i < kItemsPerThread; ++i) {
        const int64_t position = tile * kScanTile + i * kScanThreads + threadIdx.x;
        if (position < size) body(position);
      }
    }
  }

  // Bit p: the label at first + p of the sorted order differs from the one before it.
  __device__ __forceinline__ unsigned changes_in_run(const uint32_t* sorted, int64_t first) const {
    unsigned changes = 0;
    for (int p = 0; p < kItemsPerThread; ++p) {
      const int64_t at = first + p;
      const bool change = at > 0 && at < size && labels[sorted[at]] != labels[sorted[at - 1]];
      changes |= static_cast<unsigned>(change) << p;
    }
    return changes;
  }

  template <class GridType>
  __device__ __forceinline__ void count_changes(const GridType& grid, LabelRanksShared& shared,
                                                const uint32_t* sorted, uint32_t* changes) const {
    for (int64_t tile = grid.rank(); tile < num_tiles; tile += grid.size()) {
      const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kItemsPerThread;
      const GridRadixSort::Count own{static_cast<uint32_t>(__popc(changes_in_run(sorted, first)))};
      const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared.scan, own);
      if (threadIdx.x == 0) changes[tile] = scanned.total.count;
    }
  }

  // One block calls this.
  __device__ __forceinline__ void scan_changes(LabelRanksShared& shared, uint32_t* changes) const {
    uint32_t total = 0;
    for (int64_t first = 0; first < num_tiles; first += kScanThreads) {
      const int64_t tile = first + threadIdx.x;
      const GridRadixSort::Count own{tile < num_tiles ? changes[tile] : 0};
      const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared.scan, own);
      if (tile < num_tiles) changes[tile] = total + scanned.before.count;
      total += scanned.total.count;
    }
    if (threadIdx.x == 0) grades->num_grades = total + 1;
  }

  template <class GridType>
  __device__ __forceinline__ void number_grades(const GridType& grid, LabelRanksShared& shared,
                                                const uint32_t* sorted, const uint32_t* changes,
                                                uint32_t* ranks) const {
    for (int64_t tile = grid.rank(); tile < num_tiles; tile += grid.size()) {
      const int64_t first = tile * kScanTile + int64_t{threadIdx.x} * kItemsPerThread;
      const unsigned own = changes_in_run(sorted, first);
      const GridRadixSort::Count count{static_cast<uint32_t>(__popc(own))};
      const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared.scan, count);
      const uint32_t before = changes[tile] + scanned.before.count;
      for (int p = 0; p < kItemsPerThread && first + p < size; ++p) {
        const uint32_t position = sorted[first + p];
        const uint32_t rank = before + __popc(own & ((2u << p) - 1));
        ranks[position] = order.keys[position] == kInertKey<Key> ? kInertRank : rank;
      }
    }
  }
};

}  // namespace fused_rankloss::cuda
