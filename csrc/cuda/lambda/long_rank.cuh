// SPDX-License-Identifier: BSD-3-Clause
//
// From slots sorted by score to RankedLists: all data of the items of long lists that the pair
// kernels need.
//
//   1. ranks of labels; then the lists that are poisoned by equal infinite scores
//   2. the table of long lists; each item's score, gain and weights, stored at its position
//   3. the order by label and, if gains are given, the order by gain
//   4. sums over tiles of each list, then over the list: DCG, maximal DCG, pair weights
//   5. gains divided by the maximal DCG; ranks of labels within each list, so that later steps do
//      not depend on other lists
//
// Mapping      One block per tile of consecutive positions, in a grid-stride loop over a persistent
//              grid. The tiles of the sums begin with their list. One block makes the table.
// Memory       Labels, scores, gains and weights are gathered by slot once, see long.cuh
// Numerics     fp64
// Determinism  Bitwise, for every grid and independent of other lists; integer atomics only
#pragma once

#include "cuda/lambda/label_grades.cuh"
#include "cuda/lambda/long_table.cuh"

namespace fused_rankloss::cuda::lambda {

struct LambdaRankShared {
  LabelRanksShared labels;
  ScanShared<ListTotals, kScanThreads> totals;
  ListGradesShared grades;
  LongTableShared table;
};

template <typename Real, class GridType>
class LambdaRanking {
 public:
  using Key = ScoreKey<Real>;

  __device__ __forceinline__ LambdaRanking(const GridType& grid, LambdaRankShared& shared,
                                           const LambdaLongParams<Real>& params)
      : grid_(grid), shared_(shared), params_(params), args_(params.args) {}

  // All threads of the grid call this.
  __device__ __forceinline__ void solve() {
    const uint32_t* ranks = rank_labels();
    for_positions([&](int64_t position) { check_infinities(ranks, position); });
    grid_.sync();
    if (grid_.rank() == 0) make_long_table(params_, shared_.table);
    for_positions([&](int64_t position) { store_item(ranks[position], position); });
    grid_.sync();
    const uint32_t* by_label = sort_by_label();
    const uint32_t* by_gain = sorts_gains() ? sort_by_gain() : nullptr;
    ListGrades<Real> grades(shared_.grades, params_, by_label);
    for_tiles([&](int64_t tile, const LongList& list, int64_t first) {
      const ListTotals total = sum_tile(list, first, by_label, by_gain);
      if (threadIdx.x == 0) params_.tiles[tile] = total;
      grades.count_changes(tile, list, first);
    });
    grid_.sync();
    sum_lists(grades);
    grid_.sync();
    for_tiles([&](int64_t tile, const LongList& list, int64_t first) {
      grades.number(tile, list, first);
      finish_items(list, first);
    });
  }

 private:
  template <typename Body>
  __device__ __forceinline__ void for_positions(Body&& body) const {
#pragma unroll 1
    for (int64_t tile = grid_.rank(); tile < num_tiles(); tile += grid_.size()) {
#pragma unroll 1
      for (int i = 0; i < kItemsPerThread; ++i) {
        const int64_t position = tile * kScanTile + i * kScanThreads + threadIdx.x;
        if (position < params_.args.lists.num_slots) body(position);
      }
    }
  }

  // Calls body(tile, list, first rank of the tile) for all tiles of all long lists.
  template <typename Body>
  __device__ __forceinline__ void for_tiles(Body&& body) const {
#pragma unroll 1
    for (int64_t tile = grid_.rank(); tile < params_.table->num_tiles; tile += grid_.size()) {
      const LongList list = list_with<&LongList::first_tile>(*params_.table, tile);
      body(tile, list, (tile - list.first_tile) * kScanTile);
    }
  }

  __device__ __forceinline__ int64_t num_tiles() const { return params_.segments.num_tiles(); }

  // ---- Step 1

  // Returns the array with the ranks.
  __device__ __forceinline__ const uint32_t* rank_labels() const {
    const Order<Key>& order = params_.orders[0];
    const GradeTable& grades = *params_.grades;
    const bool sorted = grades.is_sorted_by();
    for_positions([&](int64_t position) {
      // The sort by list has overwritten the score keys.
      const int64_t slot = order.slots[position];
      const Key key = params_.sort_key(slot, list_of(args_.lists, slot));
      order.keys[position] = key;
      if (!sorted) {
        order.ranks[position] =
            key == kInertKey<Key> ? kInertRank : grades.rank(GradeTable::key(args_, slot));
      }
    });
    grid_.sync();
    if (!sorted) return order.ranks;
    const LabelRanks<Key> ranks{order,         params_.places[0], params_.sort_keys,
                                params_.words, params_.grades,    params_.segments.size,
                                num_tiles()};
    return ranks.sort(grid_, shared_.labels, args_);
  }

  // Two equal infinite scores in a pair that truncation keeps poison their list, since their
  // difference is undefined. Equal scores are adjacent; `first` is the one closest to the top.
  __device__ __forceinline__ void check_infinities(const uint32_t* ranks, int64_t position) const {
    const int64_t list = params_.list_at(position);
    if (list == kNoList) return;
    const Key* keys = params_.orders[0].keys;
    const Key key = keys[position];
    const Real score = value_of_key(static_cast<Key>(~key));
    if (score != score || is_finite(score)) return;
    const int64_t begin = list_positions(args_.lists, list).begin;
    const Span before{static_cast<Position>(begin), static_cast<Position>(position)};
    const Position first = first_position(before, [&](Position at) { return keys[at] >= key; });
    const int64_t top = args_.k > 0 ? args_.k : INT64_MAX;
    if (first - begin >= top || (args_.both() && position - begin >= top)) return;
    if (args_.all_pairs() || ranks[position] != ranks[first]) {
      atomicExch(&params_.facts[list].is_poisoned, 1u);
    }
  }

  // ---- Step 2

  __device__ __forceinline__ void store_item(uint32_t label_rank, int64_t position) const {
    const int64_t slot = params_.orders[0].slots[position];
    const int64_t list = params_.list_at(position);
    if (list == kNoList || params_.facts[list].is_poisoned != 0) label_rank = kInertRank;
    params_.batch_ranks[position] = params_.label_ranks[position] = label_rank;
    params_.places[0][position] = static_cast<uint32_t>(position);
    params_.sort_keys[position] = label_sort_key(label_rank, list_of(args_.lists, slot));
    if (label_rank == kInertRank) return;
    const double weight = static_cast<double>(load_weight<Real>(args_, slot));
    params_.scores[position] = value_of_key(static_cast<Key>(~params_.orders[0].keys[position]));
    params_.weights[0][position] = weight;
    params_.weights[1][position] = args_.preferred ? 1 : weight;
    if (params_.gains != nullptr) params_.gains[position] = gain_at(slot, list);
    if (params_.pair_discounts != nullptr) {
      const int64_t rank = position - list_positions(args_.lists, list).begin;
      params_.pair_discounts[position] =
          args_.weighs_discount(rank) ? params_.rank_discounts[rank] : 0;
    }
    if (args_.raw_grad != nullptr) params_.gradients[position] = 0;
  }

  __device__ __forceinline__ double gain_at(int64_t slot, int64_t list) const {
    if (args_.gains != nullptr) return args_.gains[slot];
    const uint64_t highest = params_.facts[list].max_label;
    return gain_of(args_.gain, label_at(slot),
                   label_value(GradeTable::label(highest), args_.label_type));
  }

  __device__ __forceinline__ double label_at(int64_t slot) const {
    return label_value(label_key_at(args_.labels, args_.label_type, slot), args_.label_type);
  }

  // ---- Step 3

  __device__ __forceinline__ static int bits_of(uint64_t value) {
    return 64 - __clzll(static_cast<long long>(value));
  }

  __device__ __forceinline__ static uint64_t lowest_bits(int bits) {
    return bits == 0 ? 0 : ~uint64_t{0} >> (64 - bits);
  }

  // Inert positions sort after all grades of their list.
  __device__ __forceinline__ uint64_t label_sort_key(uint32_t label_rank, int64_t list) const {
    const uint32_t num_grades = params_.grades->size();
    const uint64_t grade = label_rank == kInertRank ? num_grades : label_rank;
    return list_sort_key(list) << bits_of(num_grades) | grade;
  }

  // A single list needs no key.
  __device__ __forceinline__ uint64_t list_sort_key(int64_t list) const {
    if (args_.lists.num_lists == 1) return 0;
    return static_cast<uint64_t>(list == kNoList ? args_.lists.num_lists : list);
  }

  __device__ __forceinline__ int list_bits() const {
    return args_.lists.num_lists == 1 ? 0 : bits_of(args_.lists.num_lists);
  }

  __device__ __forceinline__ uint32_t* sort(uint32_t* places, uint32_t* other, int bits) const {
    KeyedIndices indices{params_.sort_keys, places, other};
    const GridRadixSort sorter{params_.words, params_.segments.size, num_tiles()};
    sorter.sort(grid_, shared_.labels.sort, indices, KeyedIndices::digits_of(lowest_bits(bits)));
    return indices.from;
  }

  // Positions by list, then in ascending order of labels. store_item has written the keys.
  __device__ __forceinline__ const uint32_t* sort_by_label() const {
    return sort(params_.places[0], params_.places[1],
                list_bits() + bits_of(params_.grades->size()));
  }

  __device__ __forceinline__ bool sorts_gains() const {
    return params_.reads_gains() && args_.gains != nullptr;
  }

  // Positions by list, then in descending order of gains.
  __device__ __forceinline__ const uint32_t* sort_by_gain() const {
    uint32_t *places = params_.orders[1].slots, *other = params_.orders[1].ranks;
    for_positions([&](int64_t position) {
      const bool inert = params_.batch_ranks[position] == kInertRank;
      params_.sort_keys[position] = inert ? ~uint64_t{0} : ~ordered_key(params_.gains[position]);
      places[position] = static_cast<uint32_t>(position);
    });
    grid_.sync();
    const uint32_t* sorted = sort(places, other, 64);
    if (list_bits() == 0) return sorted;
    for_positions([&](int64_t position) {
      const int64_t slot = params_.orders[0].slots[position];
      params_.sort_keys[position] = list_sort_key(list_of(args_.lists, slot));
    });
    grid_.sync();
    return sorted == places ? sort(places, other, list_bits()) : sort(other, places, list_bits());
  }

  // ---- Step 4

  // Thread 0 gets the totals of up to kScanTile items from rank `first` on, kItemsPerThread per
  // thread.
  __device__ __forceinline__ ListTotals sum_tile(const LongList& list, int64_t first,
                                                 const uint32_t* by_label,
                                                 const uint32_t* by_gain) {
    ListTotals own;
    const int64_t begin = first + int64_t{threadIdx.x} * kItemsPerThread;
#pragma unroll 1
    for (int64_t rank = begin; rank < begin + kItemsPerThread && rank < list.size; ++rank) {
      own = ListTotals::combine(own, totals_at(list, rank, by_label, by_gain));
    }
    if (__any_sync(kAllLanes, begin < list.size)) own = combine_warp(own);
    __syncthreads();  // all threads have read the totals of the previous tile
    if (lane_index() == 0) shared_.totals.store(warp_index(), own);
    __syncthreads();
    ListTotals total;
#pragma unroll 1
    for (int warp = 0; threadIdx.x == 0 && warp < kScanThreads / kWarpSize; ++warp) {
      total = ListTotals::combine(total, shared_.totals.load(warp));
    }
    return total;
  }

  // The terms of index `rank`: DCG of the item with that rank, maximal DCG of the item at that
  // index by gain, pair weights of the item at that index by label.
  __device__ __forceinline__ ListTotals totals_at(const LongList& list, int64_t rank,
                                                  const uint32_t* by_label,
                                                  const uint32_t* by_gain) const {
    ListTotals totals;
    const int64_t position = by_label[list.begin + rank];
    if (params_.reads_gains()) {
      const int64_t top = args_.top(list.size);
      if (rank < top) {
        totals.dcg = params_.gains[list.begin + rank] * params_.rank_discounts[rank];
      }
      const int64_t best_rank = by_gain != nullptr ? rank : list.size - 1 - rank;
      const int64_t best = by_gain != nullptr ? by_gain[list.begin + rank] : position;
      if (best_rank < top) {
        totals.max_dcg = params_.gains[best] * params_.rank_discounts[best_rank];
      }
    }
    const bool in_top = position - list.begin < list.top;
    if (!in_top && args_.both()) return totals;
    const double more = params_.weights[0][position], less = params_.weights[1][position];
    totals.lowest_more = in_top ? RankWeights{more, 0} : RankWeights{0, more};
    totals.highest_less = in_top ? RankWeights{less, 0} : RankWeights{0, less};
    totals.lowest = totals.highest = params_.batch_ranks[position];
    return totals;
  }

  // One warp per list, one range of its tiles per lane.
  __device__ __forceinline__ void sum_lists(const ListGrades<Real>& grades) const {
    constexpr int kWarps = kScanThreads / kWarpSize;
    const LongListTable& table = *params_.table;
#pragma unroll 1
    for (int64_t row = grid_.rank() * kWarps + warp_index(); row < table.size;
         row += grid_.size() * kWarps) {
      const LongList list = table.lists[row];
      const int64_t tiles = num_list_tiles(list);
      const int64_t each = (tiles + kWarpSize - 1) / kWarpSize;
      grades.scan_changes(list);
      ListTotals totals;
#pragma unroll 1
      for (int64_t tile = lane_index() * each; tile < (lane_index() + 1) * each && tile < tiles;
           ++tile) {
        totals = ListTotals::combine(totals, params_.tiles[list.first_tile + tile]);
      }
      totals = combine_warp(totals);
      if (lane_index() != 0) continue;
      LambdaListFacts& facts = params_.facts[list.list];
      facts.pair_weights = args_.all_pairs() ? totals.all_pairs() : totals.pairs;
      facts.max_dcg = totals.max_dcg;
      const bool has_ndcg = facts.has_no_ndcg == 0 && totals.max_dcg > 0;
      facts.ndcg = has_ndcg ? totals.dcg / totals.max_dcg : kNan<double>;
    }
  }

  // ---- Step 5

  __device__ __forceinline__ void finish_items(const LongList& list, int64_t first) const {
    if (params_.gains == nullptr) return;
    const double max_dcg = params_.facts[list.list].max_dcg;
#pragma unroll 1
    for (int i = 0; i < kItemsPerThread; ++i) {
      const int64_t rank = first + i * kScanThreads + threadIdx.x;
      if (rank >= list.size) break;
      const int64_t position = list.begin + rank;
      double& gain = params_.gains[position];
      if (args_.scheme == Scheme::kArp) {
        gain = label_at(params_.orders[0].slots[position]);
      } else {
        gain = max_dcg > 0 ? gain / max_dcg : 0;
      }
      if (args_.all_pairs()) {
        params_.weights[0][position] *= gain * params_.pair_discounts[position];
      }
    }
  }

  const GridType& grid_;
  LambdaRankShared& shared_;
  const LambdaLongParams<Real>& params_;
  const LambdaArgs& args_;
};

template <typename Real>
__global__ void __launch_bounds__(kScanThreads, kLongBlocks)
    lambda_rank_kernel(const __grid_constant__ LambdaLongParams<Real> params) {
  __shared__ LambdaRankShared shared;
  const Grid grid;
  LambdaRanking<Real, Grid>(grid, shared, params).solve();
}

}  // namespace fused_rankloss::cuda::lambda
