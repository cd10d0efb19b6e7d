// SPDX-License-Identifier: BSD-3-Clause
//
// The items of long lists in their order, for long.cuh:
//
//   1. a record for each long list, and which tiles of slots are whose
//   2. the slots of a tile: items, sort keys, what poisons
//   3. the sums of these over each list, and over lists
//   4. every item to its position, in the order of the slots
//   5. where the loss needs it, a sort by key and a stable one by list
//
// The items of a list then have the consecutive positions [first, first + count), and tiles of
// kScanTile positions from there on, as many as there are tiles of slots.
//
// Determinism  tiles are counted from the first slot or position of their list: what they yield
//              depends on neither the grid nor on other lists
#pragma once

#include <cstddef>

#include "cuda/lists/exponential_scan.cuh"
#include "cuda/lists/long_table.cuh"
#include "cuda/lists/reduce.cuh"
#include "cuda/listwise/policy.h"
#include "cuda/listwise/sums.cuh"
#include "cuda/primitives/grid.cuh"
#include "cuda/primitives/grid_radix_sort.cuh"

namespace fused_rankloss::cuda::listwise {

// ---- Parameters ------------------------------------------------------------

struct ListRecord {
  int64_t list = 0;
  Range slots{};
  int64_t first_tile = 0;
  ItemsState items{};
  int64_t first = 0;   // position
  double maximum = 0;  // of the DCG

  FRL_HD int64_t num_tiles() const { return num_scan_tiles(slots.size()); }
};

struct LongListwiseTotals {
  int64_t num_lists;  // long ones
  int64_t num_tiles;
  int64_t num_items;
  uint64_t varying;  // bits in which sort keys differ
};

// Room for any State of a tile.
inline constexpr int kTileCellBytes = 48;

// Arrays are workspace, uninitialised.
struct LongListwiseParams {
  ListwiseArgs args;
  ListPartials partials;
  LongListwiseTotals* totals;
  ListRecord* records;  // by list, ascending
  std::byte* cells[2];  // [tiles, kTileCellBytes] each, in turns
  uint64_t* keys;       // by slot; null without a sort
  uint32_t* indices;    // slots by position
  uint32_t* other;      // as many, to sort through
  uint32_t* words;      // TeamSort::workspace_words
  double* scores;       // by position; of list_mle, behind
  double* slopes;       // by position: of gains, then d value / d rank
  // Of approx_ndcg: sigmoid and its derivative, and what tiles of kPowerTile positions add.
  ScanFunctions functions[2];
  TileSums<1> powers;
};

struct LongListwiseShared {
  LongTableShared table;
  ScanShared<ItemsState, kScanThreads> items;
  ScanShared<Sum, kScanThreads> sums;
  ScanShared<TeamSort::Count, kScanThreads> counts;
  TeamSort::Shared sort;
};

// ---- Phases ----------------------------------------------------------------

template <ListwiseLoss kLoss, typename Real>
class LongListwiseItems {
 public:
  static constexpr bool kSorts = kLoss != ListwiseLoss::kListNet;

  __device__ __forceinline__ LongListwiseItems(const LongListwiseParams& params,
                                               LongListwiseShared& shared)
      : params_(params), args_(params.args), shared_(shared) {}

 protected:
  // A tile and its list.
  struct Tile {
    const ListRecord& record;
    int64_t index;  // in the list
    int64_t id;     // among all tiles

    // Of the thread's run, from the list's first on.
    __device__ __forceinline__ int64_t run() const {
      return index * kScanTile + int64_t{threadIdx.x} * kScanRun;
    }
    // How many of a run's positions are items.
    __device__ __forceinline__ int run_size() const {
      return static_cast<int>(Lists::clamp(record.items.count - run(), 0, kScanRun));
    }
    __device__ __forceinline__ bool is_poisoned() const { return record.items.poisoned != 0; }
  };

  template <typename State>
  __device__ __forceinline__ State* cells(int turn) const {
    static_assert(sizeof(State) <= kTileCellBytes);
    return reinterpret_cast<State*>(params_.cells[turn]);
  }

  // Calls body(tile) for tiles of the block. All threads of the grid call this.
  template <typename Body>
  __device__ __forceinline__ void for_tiles(Body&& body) const {
    const int64_t num_tiles = params_.totals->num_tiles;
#pragma unroll 1
    for (int64_t id = team_.rank(); id < num_tiles; id += team_.size()) {
      const ListRecord& record =
          record_with<&ListRecord::first_tile>(params_.records, params_.totals->num_lists, id);
      body(Tile{record, id - record.first_tile, id});
    }
  }

  // Calls body(record) for lists of the block.
  template <typename Body>
  __device__ __forceinline__ void for_lists(Body&& body) const {
    const int64_t num_lists = params_.totals->num_lists;
#pragma unroll 1
    for (int64_t list = team_.rank(); list < num_lists; list += team_.size()) {
      body(params_.records[list]);
    }
  }

  // Turns States into those of all that a sweep met before, and returns their total. One block.
  template <Sweep kSweep, typename State>
  __device__ __forceinline__ State scan_states(ScanShared<State, kScanThreads>& shared,
                                               State* states, int64_t size) const {
    const int64_t steps = (size + kScanThreads - 1) / kScanThreads;
    State total;
#pragma unroll 1
    for (int64_t i = 0; i < steps; ++i) {
      const int64_t step = kSweep == Sweep::kUp ? i : steps - 1 - i;
      const int64_t at = step * kScanThreads + threadIdx.x;
      State own;
      if (at < size) own = states[at];
      const auto scanned = scan_block<kSweep, kScanThreads>(shared, own);
      if (at < size) states[at] = State::combine(total, scanned.before);
      total = State::combine(total, scanned.total);
    }
    return total;
  }

  __device__ __forceinline__ ListItems<kLoss, Real> items(const ListRecord& record) const {
    return {args_, record.slots.begin};
  }
  // The slot in the list of one of its positions.
  __device__ __forceinline__ int64_t slot_at(const ListRecord& record, int64_t position) const {
    return int64_t{sorted_[record.first + position]} - record.slots.begin;
  }
  __device__ __forceinline__ void store_sum(const ListRecord& record,
                                            const ListPartial& sum) const {
    params_.partials.at(0, record.slots.begin / kWarpSize, record.list) = sum;
  }

  // All of the above. All threads of the grid call this; afterwards everybody's writes are seen.
  __device__ __forceinline__ void place_items() {
    if (team_.rank() == 0) find_lists();
    team_.sync();
    for_tiles([&](const Tile& tile) { read_tile(tile); });
    team_.sync();
    for_lists([&](ListRecord& record) {
      ItemsState* states = cells<ItemsState>(0) + record.first_tile;
      const ItemsState total = scan_states<Sweep::kUp>(shared_.items, states, record.num_tiles());
      if (threadIdx.x == 0) {
        record.items = total;
        record.items.poisoned = total.template is_poisoned<kLoss>(args_.label_type);
      }
    });
    team_.sync();
    if (team_.rank() == 0) number_items();
    team_.sync();
    for_tiles([&](const Tile& tile) { place_tile(tile); });
    team_.sync();
    sorted_ = params_.indices;
    if constexpr (kSorts) sort_items(params_.totals->varying);
  }

  // Sorts the items of all lists by their keys, which differ in no other bits, and stably by list.
  // All threads of the grid call this.
  __device__ __forceinline__ void sort_items(uint64_t varying) {
    const LongListwiseTotals& totals = *params_.totals;
    const int64_t num_tiles = (totals.num_items + kScanTile - 1) / kScanTile;
    uint32_t* other = sorted_ == params_.indices ? params_.other : params_.indices;
    KeyedIndices indices{params_.keys, sorted_, other};
    const TeamSort sorter{params_.words, totals.num_items, num_tiles};
    sorter.sort(team_, shared_.sort, indices, KeyedIndices::digits_of(varying));
    if (totals.num_lists > 1) {
      for_tiles([&](const Tile& tile) {
        const unsigned real = real_slots(tile);
        const int64_t list = &tile.record - params_.records;
        for (int p = 0; p < kScanRun; ++p) {
          if (real >> p & 1u) {
            params_.keys[tile.record.slots.begin + tile.run() + p] = static_cast<uint64_t>(list);
          }
        }
      });
      team_.sync();
      const uint64_t last = static_cast<uint64_t>(totals.num_lists - 1);
      const uint64_t lists = ~uint64_t{0} >> __clzll(static_cast<long long>(last));
      sorter.sort(team_, shared_.sort, indices, KeyedIndices::digits_of(lists));
    }
    sorted_ = indices.from;
  }

  const LongListwiseParams& params_;
  const ListwiseArgs& args_;
  LongListwiseShared& shared_;
  const GridTeam team_{};
  uint32_t* sorted_ = nullptr;  // params_.indices or params_.other

 private:
  // ---- 1

  // Lists whose offsets are broken may share slots, and are not solved at all.
  __device__ __forceinline__ void find_lists() {
    const Lists& lists = args_.lists;
    LongListCounts all;
    if (!offsets_are_broken(lists)) {
      all = number_long_lists<ListRecord>(
          shared_.table, lists, params_.partials.crossover,
          [&](int64_t list, ListRecord& own) -> LongListCounts {
            own.list = list;
            own.slots = lists.slots(list);
            return {1, own.num_tiles()};
          },
          [&](ListRecord& own, const LongListCounts& earlier) {
            own.first_tile = earlier.tiles;
            params_.records[earlier.lists] = own;
          });
    }
    if (threadIdx.x == 0) *params_.totals = {all.lists, all.tiles, 0, 0};
  }

  // ---- 2

  // Bit p: the slot p of the thread's run is an item.
  __device__ __forceinline__ unsigned real_slots(const Tile& tile) const {
    unsigned real = 0;
#pragma unroll 1
    for (int p = 0; p < kScanRun; ++p) {
      const int64_t slot = tile.run() + p;
      if (slot >= tile.record.slots.size()) break;
      real |= static_cast<unsigned>(items(tile.record).is_real(slot)) << p;
    }
    return real;
  }

  __device__ __forceinline__ void read_tile(const Tile& tile) const {
    const ListRecord& record = tile.record;
    const auto items = this->items(record);
    if (tile.index == 0) items.clear_behind(record.slots.size(), threadIdx.x, kScanThreads);
    const unsigned real = real_slots(tile);
    ItemsState own;
#pragma unroll 1
    for (int p = 0; p < kScanRun; ++p) {
      const int64_t slot = tile.run() + p;
      if (slot >= record.slots.size()) break;
      if ((real >> p & 1u) == 0) {
        items.store_gradient(slot, 0);
        continue;
      }
      const uint64_t key = items.sort_key(slot);
      if constexpr (kSorts) params_.keys[record.slots.begin + slot] = key;
      own.add(items, slot, key);
    }
    const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared_.items, own);
    if (threadIdx.x == 0) cells<ItemsState>(0)[tile.id] = scanned.total;
  }

  // ---- 3

  __device__ __forceinline__ void number_items() const {
    const int64_t num_lists = params_.totals->num_lists;
    int64_t num_items = 0;
    ItemsState all;
#pragma unroll 1
    for (int64_t first = 0; first < num_lists; first += kScanThreads) {
      const int64_t list = first + threadIdx.x;
      ItemsState own;
      if (list < num_lists) own = params_.records[list].items;
      const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared_.items, own);
      if (list < num_lists) params_.records[list].first = num_items + scanned.before.count;
      num_items += scanned.total.count;
      all = ItemsState::combine(all, scanned.total);
    }
    if (threadIdx.x == 0) {
      params_.totals->num_items = num_items;
      params_.totals->varying = all.varying();
    }
  }

  // ---- 4

  __device__ __forceinline__ void place_tile(const Tile& tile) const {
    const ListRecord& record = tile.record;
    const unsigned real = real_slots(tile);
    const TeamSort::Count own{static_cast<uint32_t>(__popc(real))};
    const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared_.counts, own);
    int64_t position = record.first + cells<ItemsState>(0)[tile.id].count + scanned.before.count;
#pragma unroll 1
    for (int p = 0; p < kScanRun; ++p) {
      if ((real >> p & 1u) == 0) continue;
      const int64_t slot = tile.run() + p;
      params_.indices[position++] = static_cast<uint32_t>(record.slots.begin + slot);
      if (tile.is_poisoned()) items(record).store_gradient(slot, kNan<double>);
    }
    if (tile.index == 0 && tile.is_poisoned() && threadIdx.x == 0) {
      ListPartial sum;
      sum.pairs = kNan<double>;
      store_sum(record, sum);
    }
  }
};

}  // namespace fused_rankloss::cuda::listwise
