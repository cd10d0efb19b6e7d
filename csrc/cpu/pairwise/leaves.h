// SPDX-License-Identifier: BSD-3-Clause
//
// What happens to the leaves of the merge sort by label before the first round: their pairs are
// counted level by level, those of several levels are gathered for direct comparison, and each one
// is sorted by score.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/lists/label_order.h"
#include "cpu/lists/merge_rounds.h"
#include "cpu/pairwise/direct.h"

namespace fused_rankloss::cpu::pairwise {

inline int64_t index_of(int64_t index) { return index; }

template <typename ItemKey>
int64_t index_of(const Item<ItemKey>& item) {
  return static_cast<int64_t>(item.index);
}

// Adds a level of items, or of their indices, to the number of pairs.
template <class Weights, typename Index>
void count_level(const Weights& weights, const Index* begin, const Index* end,
                 PairCounter& counter) {
  double more = static_cast<double>(end - begin), less = more;
  if (weights.reader.weighted()) {
    more = 0;
    for (const Index* item = begin; item < end; ++item) more += weights.checked(index_of(*item));
    if (!weights.reader.preferred()) less = more;
  }
  counter.add_level(more, less);
}

template <typename Score, int kCapacity, typename Key>
void gather_leaf(const Leaf& leaf, const LevelTable<Key>& table, const Item<Key>* items,
                 DirectItems<Score, kCapacity>& direct) {
  direct.size = static_cast<int>(leaf.end - leaf.begin);
  direct.num_levels = static_cast<int>(leaf.num_levels);
  for (int level = 0; level < direct.num_levels; ++level) {
    direct.starts[level] =
        static_cast<int32_t>(table.level_starts[leaf.first_level + level] - leaf.begin);
  }
  direct.starts[direct.num_levels] = direct.size;
  for (int t = 0; t < direct.size; ++t) {
    direct.index[t] = items[leaf.begin + t].index;
    direct.score[t] = value_of_key(items[leaf.begin + t].key);
  }
}

template <typename Key>
void sort_piece(const Range& piece, const Runs<Key>& runs, const Team& team) {
  Item<Key>* items = runs.items + piece.begin;
  const Item<Key>* sorted = radix_sort(items, runs.scratch + piece.begin, piece.size(), team);
  if (sorted != items) std::copy(sorted, sorted + piece.size(), items);
}

// Long pieces one after another by all threads together, the others by one thread each.
template <typename Key>
void sort_pieces(const std::vector<Range>& pieces, const Runs<Key>& runs, const Team& team) {
  const auto is_shared = [&](const Range& piece) {
    return team.size() > 1 && piece.size() >= radix::kParallelSort;
  };
  for (const Range& piece : pieces) {
    if (is_shared(piece)) sort_piece(piece, runs, team);
  }
  team.run(pieces.size(), [&](int64_t task, int) {
    if (!is_shared(pieces[task])) sort_piece(pieces[task], runs, Team::single());
  });
}

}  // namespace fused_rankloss::cpu::pairwise
