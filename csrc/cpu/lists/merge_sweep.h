// SPDX-License-Identifier: BSD-3-Clause
//
// One merge step over two runs of a list. Every item of the run `more` is more relevant than every
// item of the run `less`, and both are sorted by score. With a_j = s_j + margin ascending, let
//
//   k_j = number of i with s_i <= a_j        c_i = number of j with a_j >= s_i               (1)
//
// (or < and > for the other boundary convention). A merge finds all of them, and they are the
// gradients: d/ds_j = +k_j, d/ds_i = -c_i. With n the size of `less`, the sum over the violated
// pairs is
//
//   sum_{i,j} max(0, m - (s_i - s_j)) = sum_i c_i (m - (s_i - s_{n - c_i}))
//                                     + sum_j k_j (n - 1 - j) (s_{j+1} - s_j)                (2)
//
// The first term pairs item i with the first j that reaches it; the second adds, gap by gap, all j
// above that one. Every term is non-negative and built from a difference of neighbours. So nothing
// cancels, whatever offset the scores have, and no margin is added to a score large enough to
// absorb it. Integer keys of `reach` (common/ordered.h) decide which of two items comes first.
//
// Weights and the squared hinge carry the moments of losses/gap_moments.h along. On the way up,
// these are the moments of the items of `more` passed so far, at the last of them. An item of
// `less` advances a copy of them by its own gap to that item. On the way down the roles are
// exchanged.
//
// Determinism: a merge is cut into chunks of events for several threads; cuts depend on sizes
// alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/ordered.h"
#include "common/weights.h"
#include "cpu/lists/radix_sort.h"
#include "cpu/lists/reader.h"
#include "cpu/simd/pair_sums.h"
#include "losses/gap_moments.h"

namespace fused_rankloss::cpu {

template <typename Key>
struct Run {
  const Item<Key>* items;
  int64_t size;
};

// Two runs to sweep, and scratch of the same sizes. `less_scratch[j].key` holds the sort key of
// reach(s_j, margin). count_pairs writes numbers of pairs to `index` of both scratch arrays.
template <typename Key>
struct SweepPair {
  Run<Key> more;
  Run<Key> less;
  Item<Key>* more_scratch;
  Item<Key>* less_scratch;
  double margin;

  int64_t num_events() const { return more.size + less.size; }

  // Item i of `more` comes before item j of `less`: the pair violates the margin.
  bool more_first(int64_t i, int64_t j) const { return more.items[i].key <= less_scratch[j].key; }

  double more_at(int64_t i) const { return value_of_key(more.items[i].key); }
  double less_at(int64_t j) const { return value_of_key(less.items[j].key); }
  double gap(int64_t i, int64_t j) const { return margin - (more_at(i) - less_at(j)); }
};

// count * distance; 0 if one of them is 0, even if the other is infinite or NaN.
inline double product_or_zero(double count, double distance) {
  return count > 0 && distance > 0 ? count * distance : 0;
}

// How many items of each run come before an event.
struct Cut {
  int64_t more;
  int64_t less;
};

// The cut before an event of the walk in which item i of `more` comes before item j of `less` where
// more_first(i, j).
template <typename Order>
Cut cut_at(int64_t more_size, int64_t less_size, int64_t event, Order&& more_first) {
  int64_t low = std::max<int64_t>(0, event - less_size);
  int64_t high = std::min(event, more_size);
  while (low < high) {
    const int64_t i = low + (high - low) / 2;
    if (more_first(i, event - 1 - i)) {
      low = i + 1;
    } else {
      high = i;
    }
  }
  return {low, event - low};
}

template <typename Key>
Cut cut_at(const SweepPair<Key>& pair, int64_t event) {
  return cut_at(pair.more.size, pair.less.size, event,
                [&](int64_t i, int64_t j) { return pair.more_first(i, j); });
}

// A merge between two cuts, which writes the counts (1) to the scratch arrays.
template <typename Key>
struct CountingMerge {
  Cut at;
  Cut to;

  CountingMerge(const SweepPair<Key>& pair, int64_t begin, int64_t end)
      : at(cut_at(pair, begin)), to(cut_at(pair, end)) {}

  bool merging() const { return at.more < to.more && at.less < to.less; }

  // Which run comes next is random: branches would be mispredicted. So both cases are the same
  // instructions: the next items of both runs receive their counts, and one of them is passed.
  void advance(const SweepPair<Key>& pair) {
    const bool is_more = pair.more_first(at.more, at.less);
    pair.less_scratch[at.less].index = static_cast<Key>(at.more);
    pair.more_scratch[at.more].index = static_cast<Key>(pair.less.size - at.less);
    at.more += is_more;
    at.less += !is_more;
  }

  void finish(const SweepPair<Key>& pair) {
    while (merging()) advance(pair);
    for (; at.more < to.more; ++at.more) {
      pair.more_scratch[at.more].index = static_cast<Key>(pair.less.size - at.less);
    }
    for (; at.less < to.less; ++at.less) {
      pair.less_scratch[at.less].index = static_cast<Key>(at.more);
    }
  }
};

// The counts (1) for events [begin, end).
template <typename Key>
void count_pairs(const SweepPair<Key>& pair, int64_t begin, int64_t end) {
  // Each step of a merge depends on the one before it: two interleaved merges hide the latency.
  const int64_t middle = begin + (end - begin) / 2;
  CountingMerge<Key> first(pair, begin, middle), second(pair, middle, end);
  while (first.merging() && second.merging()) {
    first.advance(pair);
    second.advance(pair);
  }
  first.finish(pair);
  second.finish(pair);
}

// Equation (2) for the items [begin, end) of `less` followed by `more`. Adds their counts to the
// gradients; `grad` (or null) is indexed by Item::index.
template <typename Key, typename Count>
PairSums sum_counts(const SweepPair<Key>& pair, int64_t begin, int64_t end, Count* grad) {
  const int64_t size = pair.less.size;
  double value = 0;
  int64_t violations = 0;
  // Items are in the order of scores, their gradients in the order of slots: prefetch well ahead.
  const auto prefetch = [grad](const Run<Key>& run, int64_t t) {
    constexpr int64_t kAhead = 32;
    if (grad != nullptr) {
      __builtin_prefetch(&grad[run.items[std::min(t + kAhead, run.size - 1)].index], 1);
    }
  };
  for (int64_t j = begin; j < std::min(end, size); ++j) {
    prefetch(pair.less, j);
    const Key count = pair.less_scratch[j].index;
    violations += static_cast<int64_t>(count);
    if (grad != nullptr) grad[pair.less.items[j].index] += static_cast<Count>(count);
    if (j + 1 < size) {
      const double above = static_cast<double>(size - 1 - j);
      value += product_or_zero(static_cast<double>(count) * above,
                               pair.less_at(j + 1) - pair.less_at(j));
    }
  }
  for (int64_t i = std::max(begin - size, int64_t{0}); i < end - size; ++i) {
    prefetch(pair.more, i);
    const Key count = pair.more_scratch[i].index;
    if (grad != nullptr) grad[pair.more.items[i].index] -= static_cast<Count>(count);
    const int64_t first = size - std::max<int64_t>(static_cast<int64_t>(count), 1);
    value += product_or_zero(static_cast<double>(count), pair.gap(i, first));
  }
  return {value, static_cast<double>(violations)};
}

// The moments that one chunk of events passes on to the next. Going up, they are those of the more
// relevant items, at the last of them; going down, those of the less relevant items, at the lowest
// of them.
struct Carry {
  GapMoments up;
  GapMoments down;
  // From the last such item before the chunk, in walking order, to the last one up to its end.
  double up_distance = 0;
  double down_distance = 0;
};

// The distance of item i of `more` to its predecessor on the walk up, and of item j of `less` to
// its predecessor on the walk down.
template <typename Key>
double step_up(const SweepPair<Key>& pair, int64_t i) {
  return i > 0 ? pair.more_at(i) - pair.more_at(i - 1) : 0;
}
template <typename Key>
double step_down(const SweepPair<Key>& pair, int64_t j) {
  return j + 1 < pair.less.size ? pair.less_at(j + 1) - pair.less_at(j) : 0;
}

// Calls visit(is_more, i, j) for events [begin, end) in ascending order: i items of `more` and j of
// `less` come before the event.
template <typename Key, typename Visit>
void walk_up(const SweepPair<Key>& pair, int64_t begin, int64_t end, Visit&& visit) {
  Cut at = cut_at(pair, begin);
  for (int64_t event = begin; event < end; ++event) {
    const bool is_more = at.less == pair.less.size ||
                         (at.more < pair.more.size && pair.more_first(at.more, at.less));
    visit(is_more, at.more, at.less);
    at.more += is_more;
    at.less += !is_more;
  }
}

// The same events in descending order.
template <typename Key, typename Visit>
void walk_down(const SweepPair<Key>& pair, int64_t begin, int64_t end, Visit&& visit) {
  Cut at = cut_at(pair, end);
  for (int64_t event = end; event > begin; --event) {
    const bool is_more =
        at.less == 0 || (at.more > 0 && !pair.more_first(at.more - 1, at.less - 1));
    at.more -= is_more;
    at.less -= !is_more;
    visit(is_more, at.more, at.less);
  }
}

// What a chunk adds to the moments, starting from zero.
template <typename Key, typename Score>
Carry carry_of(const SweepPair<Key>& pair, const ListWeights<Score>& weights, int64_t begin,
               int64_t end) {
  Carry carry;
  const Cut from = cut_at(pair, begin), to = cut_at(pair, end);
  for (int64_t i = from.more; i < to.more; ++i) {
    if (i > from.more) carry.up.advance(step_up(pair, i));
    carry.up.push(weights.more(pair.more.items[i].index));
  }
  for (int64_t j = to.less - 1; j >= from.less; --j) {
    if (j < to.less - 1) carry.down.advance(step_down(pair, j));
    carry.down.push(weights.less(pair.less.items[j].index));
  }
  if (from.more > 0) carry.up_distance = pair.more_at(to.more - 1) - pair.more_at(from.more - 1);
  if (to.less < pair.less.size) {
    carry.down_distance = pair.less_at(to.less) - pair.less_at(from.less);
  }
  return carry;
}

// The sweep with moments for events [begin, end). `before` holds the moments that arrive from below
// and from above.
template <typename Loss, typename Key, typename Score>
PairSums sweep_moments(const SweepPair<Key>& pair, const ListWeights<Score>& weights, int64_t begin,
                       int64_t end, const Carry& before, double factor, double* grad) {
  PairSums sums;
  GapMoments below = before.up;
  walk_up(pair, begin, end, [&](bool is_more, int64_t i, int64_t j) {
    if (is_more) {
      below.advance(step_up(pair, i));
      below.push(weights.more(pair.more.items[i].index));
      return;
    }
    if (i == 0) return;
    GapMoments seen = below;
    seen.advance(pair.gap(i - 1, j));
    const int64_t index = pair.less.items[j].index;
    const double weight = factor * weights.less(index);
    const double slope = weighted(weight, Loss::slope_sum(seen));
    sums.value += weighted(weight, Loss::value_sum(seen));
    sums.slope += slope;
    if (grad != nullptr) grad[index] += slope;
  });
  if (grad == nullptr) return sums;
  GapMoments above = before.down;
  walk_down(pair, begin, end, [&](bool is_more, int64_t i, int64_t j) {
    if (!is_more) {
      above.advance(step_down(pair, j));
      above.push(weights.less(pair.less.items[j].index));
      return;
    }
    if (j == pair.less.size) return;
    GapMoments seen = above;
    seen.advance(pair.gap(i, j));
    const int64_t index = pair.more.items[i].index;
    grad[index] -= weighted(factor * weights.more(index), Loss::slope_sum(seen));
  });
  return sums;
}

// Merges events [begin, end) of the two runs, by score alone, into `out`, which holds both.
template <typename Key>
void merge_runs(const Run<Key>& more, const Run<Key>& less, int64_t begin, int64_t end,
                Item<Key>* out) {
  const auto order = [&](int64_t i, int64_t j) { return more.items[i].key <= less.items[j].key; };
  Cut at = cut_at(more.size, less.size, begin, order);
  const Cut to = cut_at(more.size, less.size, end, order);
  out += begin;
  while (at.more < to.more && at.less < to.less) {
    const bool is_more = order(at.more, at.less);
    *out++ = is_more ? more.items[at.more] : less.items[at.less];
    at.more += is_more;
    at.less += !is_more;
  }
  out = std::copy(more.items + at.more, more.items + to.more, out);
  std::copy(less.items + at.less, less.items + to.less, out);
}

}  // namespace fused_rankloss::cpu
