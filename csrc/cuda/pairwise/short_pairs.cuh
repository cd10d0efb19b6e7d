// SPDX-License-Identifier: BSD-3-Clause
//
// The pairs of one list, enumerated by a group of threads (short.cuh has the batch).
//
//   list_sum = sum_{i, j of one list, y_i > y_j} w_ij phi(m - (s_i - s_j))                    (1)
//
// A list's items are first ordered by label. The partners of an item are then the items with lower
// labels, [0, lower), and those with higher labels, [higher, n):
//
//   cells   0 ........ lower ...... higher ........ n
//           y < y_t  |   y = y_t   |    y > y_t
//
// No pair compares labels, and pairs of equal labels cost nothing: half of all (row, column) pairs
// with two grades, a fifth with five. Ordering takes one pass per grade, from the lowest up. With
// many grades that would cost more than it saves. So after kListGrades grades, the remaining items
// form an unordered tail, whose items do compare labels with each other.
//
// Mapping      Each thread holds every 32nd (or 256th) item while they are ordered, then every 32nd
//              row, so that the rows of a warp are neighbours and loop over the same columns
// Memory       Slots are read once, gradients are written once. The ordered items are in shared
//              memory, where a warp reads one column at a time.
// Numerics     as in terms.cuh
// Determinism  Bitwise: one thread processes all partners of a row, and sums over rows have a fixed
//              order
#pragma once

#include "cuda/lists/shared_sort.cuh"
#include "cuda/lists/warp_or_block.cuh"
#include "cuda/pairwise/policy.h"
#include "cuda/pairwise/terms.cuh"
#include "cuda/primitives/shared_array.cuh"

namespace fused_rankloss::cuda::pairwise {

// ---- Ordering items by label -----------------------------------------------

// The slot of an item in a cell, and the cells of its partners.
struct Place {
  uint32_t slot : 10;   // relative to the list's first slot
  uint32_t lower : 11;  // cells before this one have lower labels; the item's own label begins here
  uint32_t higher : 11;  // cells from this one on have higher labels
};
static_assert(kBlockListItems <= 1024, "a Place holds 10 bits of a slot");

// Shared memory for sorting.
struct SortShared {
  CellWords keys;
  SharedArray<uint16_t, kBlockListItems> cells;
};
struct NoSort {};

template <class Term>
struct ShortListsShared {
  static_assert(kListWarps * kWarpListItems <= kBlockListItems, "a slice for every warp");

  SharedArray<typename Term::Item, kBlockListItems> items;
  SharedArray<Place, kBlockListItems> places;
  std::conditional_t<Term::kCounts, SortShared, NoSort> sorting;
  SharedArray<ListPartial, kListWarps> sums;  // of the block's lists
  WarpOrBlockShared group;
};

// A list, for one margin.
struct ShortList {
  int64_t begin;       // first slot
  int64_t first_grad;  // index of the first slot's gradient
  int size;            // number of slots
  double unit;         // unit of the gradients
};

struct LabelOrder {
  int size;  // items
  int tail;  // the first cell of the tail; `size` when there is none
};

// Puts the items of a list into cells, ordered by label, and zeroes the gradient of its padding.
template <class Term>
__device__ __forceinline__ LabelOrder order_items(const Term& term, WarpOrBlock& group,
                                                  ShortListsShared<Term>& shared,
                                                  const PairwiseArgs& args, const ShortList& own) {
  using Key = typename Term::Key;
  using Real = typename Term::Real;
  constexpr int kOwn = WarpOrBlock::kOwn;

  // Striped arrangement: item r of a thread is group.size() slots after item r - 1.
  unsigned waiting = 0;  // bit r: item r is real and has no cell yet
#pragma unroll
  for (int r = 0; r < kOwn; ++r) {
    const int slot = group.thread() + r * group.size();
    if (slot >= own.size) continue;
    if (args.lists.is_real(own.begin + slot)) {
      waiting |= 1u << r;
    } else if (args.raw_grad != nullptr) {
      term.store_gradient(own.first_grad + slot, typename Term::Totals{}, own.unit);
    }
  }
  const auto slot_of = [&, real = waiting](int r) {
    return real >> r & 1u ? own.begin + group.thread() + r * group.size() : int64_t{-1};
  };
  Key labels[kOwn];
  Real scores[kOwn];
  Real weights[kOwn];
  load_labels(args, slot_of, labels);
  load_scores(args, slot_of, scores);
  load_weights(args, slot_of, weights);
  const auto least_waiting = [&] {
    Key least = kHighestKey<Key>;
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      if ((waiting >> r & 1u) && labels[r] < least) least = labels[r];
    }
    return warp_min(least);
  };

  // Stores the items of `chosen` in the cells from `begin` on. They are no partners of each other.
  const auto place = [&](unsigned chosen, int begin) {
    waiting &= ~chosen;
    unsigned votes[kOwn];
    int picked = 0;
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      votes[r] = __ballot_sync(kAllLanes, chosen >> r & 1u);
      picked += __popc(votes[r]);
    }
    const Selection<Key> selection = group.select(picked, least_waiting());
    int cell = begin + selection.before;
    const unsigned earlier_lanes = (1u << lane_index()) - 1;
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      if (chosen >> r & 1u) {
        const int own_cell = group.first_cell() + cell + __popc(votes[r] & earlier_lanes);
        const int slot = group.thread() + r * group.size();
        shared.items.store(own_cell, term.item(scores[r], weights[r], labels[r]));
        shared.places.store(own_cell, {static_cast<uint32_t>(slot), static_cast<uint32_t>(begin),
                                       static_cast<uint32_t>(begin + selection.total)});
      }
      cell += __popc(votes[r]);
    }
    return selection;
  };

  int picked = 0;
#pragma unroll
  for (int r = 0; r < kOwn; ++r) picked += __popc(__ballot_sync(kAllLanes, waiting >> r & 1u));
  Selection<Key> selection = group.select(picked, least_waiting());
  LabelOrder order{selection.total, 0};
#pragma unroll 1
  for (int grade = 0; grade < kListGrades && order.tail < order.size; ++grade) {
    unsigned chosen = 0;
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      if ((waiting >> r & 1u) && labels[r] == selection.next) chosen |= 1u << r;
    }
    selection = place(chosen, order.tail);
    order.tail += selection.total;
  }
  if (order.tail < order.size) place(waiting, order.tail);
  group.sync();
  return order;
}

// Sorts the items of each label, and of the tail, by score. All threads of the block call this.
template <class Term>
__device__ __forceinline__ void sort_labels(const WarpOrBlock& group,
                                            ShortListsShared<Term>& shared, int size) {
  constexpr int kThreads = WarpOrBlock::kBlockThreads;
  constexpr int kOwn = WarpOrBlock::kOwn;
  constexpr bool kOneWord = sizeof(typename Term::Real) == 4;  // for run and score
  const int thread = static_cast<int>(threadIdx.x);
  SortShared& sorting = shared.sorting;
  const auto run_of = [&](int cell) { return uint64_t{shared.places.load(cell).lower}; };
#pragma unroll 1
  for (int cell = thread; cell < size; cell += kThreads) {
    uint64_t key = ordered_key(shared.items.load(cell).score);
    if constexpr (kOneWord) key |= run_of(cell) << 32;
    sorting.keys.store(cell, key);
    sorting.cells.store(cell, static_cast<uint16_t>(cell));
  }
  __syncthreads();
  sort_cells(group, sorting.keys, sorting.cells, size);
  if constexpr (!kOneWord) {
#pragma unroll 1
    for (int cell = thread; cell < size; cell += kThreads) {
      sorting.keys.store(cell, run_of(sorting.cells.load(cell)));
    }
    __syncthreads();
    sort_cells(group, sorting.keys, sorting.cells, size);
  }
  typename Term::Item items[kOwn];
  Place places[kOwn];
#pragma unroll
  for (int r = 0; r < kOwn; ++r) {
    const int cell = r * kThreads + thread;
    if (cell >= size) continue;
    const int from = sorting.cells.load(cell);
    items[r] = shared.items.load(from);
    places[r] = shared.places.load(from);
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < kOwn; ++r) {
    const int cell = r * kThreads + thread;
    if (cell >= size) continue;
    shared.items.store(cell, items[r]);
    shared.places.store(cell, places[r]);
  }
  __syncthreads();
}

// ---- Pairs -----------------------------------------------------------------

// A row, its partners, and their sums.
template <class Term>
struct Row {
  typename Term::Item item;
  int lower;
  int higher;
  int tail;  // columns from here on may have any label
  typename Term::TileSums sums;
};

// Adds all partners of a thread's kRows rows, which are in ascending order. A column that is a
// partner of several rows is read once.
template <int kRows, class Term>
__device__ __forceinline__ void meet_partners(const Term& term, ShortListsShared<Term>& shared,
                                              int first_cell, int size, Row<Term> (&rows)[kRows]) {
#pragma unroll
  for (int first = 0; first < kRows; ++first) {  // lower of rows `first` and later
    const int begin = first == 0 ? 0 : rows[first - 1].lower;
#pragma unroll 4
    for (int column = begin; column < rows[first].lower; ++column) {
      const typename Term::Item item = shared.items.load(first_cell + column);
#pragma unroll
      for (int r = first; r < kRows; ++r) term.add_lower(rows[r].item, item, rows[r].sums);
    }
  }
#pragma unroll
  for (int last = kRows - 1; last >= 0; --last) {  // higher than rows `last` and earlier
    const int end = last == kRows - 1 ? size : rows[last + 1].higher;
#pragma unroll 4
    for (int column = rows[last].higher; column < end; ++column) {
      const typename Term::Item item = shared.items.load(first_cell + column);
#pragma unroll
      for (int r = 0; r <= last; ++r) term.add_higher(rows[r].item, item, rows[r].sums);
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    Row<Term>& row = rows[r];
#pragma unroll 2
    for (int column = row.tail; column < size; ++column) {
      term.add_pair(row.item, shared.items.load(first_cell + column), row.sums);
    }
    // The difference of two equal infinities is undefined. Infinite scores are rare, so a second
    // loop over the columns costs less than a check in every pair.
    const bool infinite = row.item.score == row.item.score && !is_finite(row.item.score);
#pragma unroll 1
    for (int column = infinite ? 0 : size; column < size; ++column) {
      const typename Term::Item item = shared.items.load(first_cell + column);
      if (item.score == row.item.score && item.label != row.item.label) row.sums.poison();
    }
  }
}

// The same for one row of a CountTerm whose partners are sorted by score within each label, except
// the partners within the row's own tail. Since reach(s) (common/ordered.h) is non-decreasing, the
// partners that violate the margin are a prefix or suffix of each run of equal labels:
//
//   lower labels    c with reach(s_c) >= s_t:   [first_reaching, end of the run)
//   higher labels   c with s_c <= reach(s_t):   [begin of the run, first_beyond)
template <class Term>
__device__ __forceinline__ void find_partners(ShortListsShared<Term>& shared, int size,
                                              Row<Term>& row) {
#pragma unroll 1
  for (int begin = 0, end = 0; begin < size; begin = end) {
    end = shared.places.load(begin).higher;
    if (end <= row.lower) {
      const int first_reaching = first_that(begin, end, [&](int column) {
        return shared.items.load(column).reach >= row.item.score;
      });
      row.sums.more += static_cast<float>(end - first_reaching);
    } else if (begin >= row.higher) {
      const int first_beyond = first_that(
          begin, end, [&](int column) { return shared.items.load(column).score > row.item.reach; });
      row.sums.less += static_cast<float>(first_beyond - begin);
    }
  }
  row.lower = 0;
  row.higher = size;
}

// Solves kRows rows of a thread from `begin` on, group.size() apart, and adds their sums to
// `partial`.
template <int kRows, class Term>
__device__ __forceinline__ void solve_rows(const Term& term, const WarpOrBlock& group,
                                           ShortListsShared<Term>& shared, const PairwiseArgs& args,
                                           const ShortList& own, const LabelOrder& order, int begin,
                                           ListPartial& partial) {
  const int first_cell = group.first_cell();
  Row<Term> rows[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int cell = begin + r * group.size();
    if (cell < order.size) {
      const Place place = shared.places.load(first_cell + cell);
      rows[r].item = shared.items.load(first_cell + cell);
      rows[r].lower = place.lower;
      rows[r].higher = place.higher;
      rows[r].tail = cell < order.tail ? order.size : order.tail;
      if (term.holds_nan(rows[r].item)) rows[r].sums.poison();
      term.count_lower(place.lower, rows[r].sums);
      if constexpr (Term::kCounts && kRows == 1) {
        if (group.is_block()) find_partners(shared, order.size, rows[r]);
      }
    } else {  // no row: it has no partners
      rows[r].item = Term::inert(kHighestKey<typename Term::Key>);
      rows[r].lower = r == 0 ? 0 : rows[r - 1].lower;
      rows[r].higher = rows[r].tail = order.size;
    }
  }
  meet_partners(term, shared, first_cell, order.size, rows);
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int cell = begin + r * group.size();
    if (cell >= order.size) continue;
    typename Term::Sums sums;
    sums.add_tile(rows[r].item, rows[r].sums);
    typename Term::Totals totals;
    totals.add(sums);
    if (args.raw_grad != nullptr) {
      term.store_gradient(own.first_grad + shared.places.load(first_cell + cell).slot, totals,
                          own.unit);
    }
    partial.add(term.finish(rows[r].item, totals));
  }
}

// Solves one list. Thread 0 of the group gets the sums; results that depend on them come later.
template <class Term>
__device__ __forceinline__ ListPartial solve_list(const Term& term, WarpOrBlock& group,
                                                  ShortListsShared<Term>& shared,
                                                  const PairwiseArgs& args, const ShortList& own) {
  if (args.lists.lengths && args.raw_grad != nullptr) {
    for (int64_t slot = own.size + group.thread(); slot < args.lists.width; slot += group.size()) {
      term.store_gradient(own.first_grad + slot, typename Term::Totals{}, own.unit);
    }
  }
  const LabelOrder order = order_items(term, group, shared, args, own);
  // Sorting pays only for counts of a block's list. For a warp's list, enumerating the pairs is as
  // fast, and sums of values need more than the ends of a range.
  const bool sorted = Term::kCounts && group.is_block();
  if constexpr (Term::kCounts) {
    if (sorted) sort_labels(group, shared, order.size);
  }
  constexpr int kRows = Term::kListRows;
  ListPartial partial;
  int done = 0;
#pragma unroll 1
  for (; kRows > 1 && !sorted && done + group.size() < order.size; done += kRows * group.size()) {
    solve_rows<kRows>(term, group, shared, args, own, order, done + group.thread(), partial);
  }
#pragma unroll 1
  for (; done < order.size; done += group.size()) {
    solve_rows<1>(term, group, shared, args, own, order, done + group.thread(), partial);
  }
  // group.sum() has a barrier for a block, so the next list's items may overwrite this one's.
  return group.sum(partial);
}

}  // namespace fused_rankloss::cuda::pairwise
