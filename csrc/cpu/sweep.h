// SPDX-License-Identifier: BSD-3-Clause
//
// One merge step over two runs of a list: every item of the run `more` is more relevant than every
// item of the run `less`, and both are sorted by score. With a_j = s_j + margin ascending, let
//
//   k_j = number of i with s_i <= a_j        c_i = number of j with a_j >= s_i (1)
//
// (or < and > for the other boundary convention). A merge finds them all, and they are the
// gradients: d/ds_j = +k_j, d/ds_i = -c_i. With n the size of `less`, the sum over the violated
// pairs is
//
//   sum_{i,j} max(0, a_j - s_i) = sum_i c_i (a_{n - c_i} - s_i)
//                               + sum_j k_j (n - 1 - j) (a_{j+1} - a_j) (2)
//
// for item i meets the first a_j that reaches it and, gap by gap, all that lie above. Every term is
// non-negative and built from a difference of neighbours, so that nothing cancels, whatever offset
// the scores carry. Which of two items comes first is decided by integer keys of `reach`
// (common/ordered.h). Weights and the squared hinge carry the moments of losses/gap_moments.h
// along.
//
// A merge is cut into stretches of events for several threads; cuts depend on sizes alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/ordered.h"
#include "cpu/list_reader.h"
#include "cpu/pair_sums.h"
#include "cpu/radix_sort.h"
#include "losses/gap_moments.h"

namespace fused_rankloss::cpu {

template <typename Key>
struct Run {
  const Item<Key>* items;
  int64_t size;
};

// Two runs to sweep, and scratch of the same sizes: `less_scratch[j].key` holds the sort key of
// reach(s_j, margin), and count_pairs leaves numbers of pairs in both scratches' `index`.
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
  double less_at(int64_t j) const { return value_of_key(less.items[j].key) + margin; }
};

// Of nothing, or over no distance, even where the other is infinite or NaN.
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

// Where the walk stands just before a cut: the last event's position, or the first one's.
template <typename Key>
double position_before(const SweepPair<Key>& pair, Cut cut) {
  if (cut.more == 0 && cut.less == 0) {
    const bool more = pair.less.size == 0 || (pair.more.size > 0 && pair.more_first(0, 0));
    return more ? pair.more_at(0) : pair.less_at(0);
  }
  if (cut.less == 0) return pair.more_at(cut.more - 1);
  if (cut.more == 0) return pair.less_at(cut.less - 1);
  return std::max(pair.more_at(cut.more - 1), pair.less_at(cut.less - 1));
}

// A merge on its way from one cut to another, counting (1) into the scratches.
template <typename Key>
struct CountingMerge {
  Cut at;
  Cut to;

  CountingMerge(const SweepPair<Key>& pair, int64_t begin, int64_t end)
      : at(cut_at(pair, begin)), to(cut_at(pair, end)) {}

  bool merging() const { return at.more < to.more && at.less < to.less; }

  // Which run comes next is a coin toss that no branch predictor wins, so both cases are the same
  // instructions: both runs' next items receive their count, and one of them is passed.
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
  // Each step of a merge waits for the one before it: two merges side by side fill the waiting.
  const int64_t middle = begin + (end - begin) / 2;
  CountingMerge<Key> first(pair, begin, middle), second(pair, middle, end);
  while (first.merging() && second.merging()) {
    first.advance(pair);
    second.advance(pair);
  }
  first.finish(pair);
  second.finish(pair);
}

// Equation (2) for the items [begin, end) of `less` followed by `more`, and their counts added to
// the gradients. `grad` (or null) is indexed by Item::index.
template <typename Key, typename Count>
PairSums sum_counts(const SweepPair<Key>& pair, int64_t begin, int64_t end, Count* grad) {
  const int64_t size = pair.less.size;
  double value = 0;
  int64_t violations = 0;
  // Items lie in the order of scores, their gradients anywhere: ask for them well ahead.
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
    value += product_or_zero(static_cast<double>(count), pair.less_at(first) - pair.more_at(i));
  }
  return {value, static_cast<double>(violations)};
}

// The moments that one stretch of events passes on to the next: of the more relevant items below
// its last event, going up, and of the less relevant items above its first event, going down.
struct Carry {
  GapMoments up;
  GapMoments down;
  double first = 0;  // position of the stretch's first event
  double last = 0;   // and of its last
};

// Calls visit(is_more, index in its run, position) for events [begin, end) in ascending order.
template <typename Key, typename Visit>
void walk_up(const SweepPair<Key>& pair, int64_t begin, int64_t end, Visit&& visit) {
  Cut at = cut_at(pair, begin);
  for (int64_t event = begin; event < end; ++event) {
    const bool is_more = at.less == pair.less.size ||
                         (at.more < pair.more.size && pair.more_first(at.more, at.less));
    if (is_more) {
      visit(true, at.more, pair.more_at(at.more));
      ++at.more;
    } else {
      visit(false, at.less, pair.less_at(at.less));
      ++at.less;
    }
  }
}

// The same events in descending order.
template <typename Key, typename Visit>
void walk_down(const SweepPair<Key>& pair, int64_t begin, int64_t end, Visit&& visit) {
  Cut at = cut_at(pair, end);
  for (int64_t event = end; event > begin; --event) {
    const bool is_more =
        at.less == 0 || (at.more > 0 && !pair.more_first(at.more - 1, at.less - 1));
    if (is_more) {
      --at.more;
      visit(true, at.more, pair.more_at(at.more));
    } else {
      --at.less;
      visit(false, at.less, pair.less_at(at.less));
    }
  }
}

// What a stretch adds to the moments, starting from none.
template <typename Key, typename Score>
Carry carry_of(const SweepPair<Key>& pair, const ListWeights<Score>& weights, int64_t begin,
               int64_t end) {
  Carry carry;
  bool first = true;
  walk_up(pair, begin, end, [&](bool is_more, int64_t t, double here) {
    if (first) carry.first = carry.last = here;
    first = false;
    carry.up.advance(here - carry.last);
    carry.last = here;
    if (is_more) carry.up.push(weights.more(pair.more.items[t].index));
  });
  double position = carry.last;
  walk_down(pair, begin, end, [&](bool is_more, int64_t t, double here) {
    carry.down.advance(position - here);
    position = here;
    if (!is_more) carry.down.push(weights.less(pair.less.items[t].index));
  });
  return carry;
}

// The sweep with moments for events [begin, end). `before` holds the moments that come from below,
// at position before.last, and from above, at position before.first.
template <typename Loss, typename Key, typename Score>
PairSums sweep_moments(const SweepPair<Key>& pair, const ListWeights<Score>& weights, int64_t begin,
                       int64_t end, const Carry& before, double factor, double* grad) {
  PairSums sums;
  GapMoments below = before.up;
  double position = before.last;
  walk_up(pair, begin, end, [&](bool is_more, int64_t t, double here) {
    below.advance(here - position);
    position = here;
    if (is_more) {
      below.push(weights.more(pair.more.items[t].index));
      return;
    }
    const int64_t index = pair.less.items[t].index;
    const double weight = factor * weights.less(index);
    sums.value += weight * Loss::value_sum(below);
    sums.slope += weight * Loss::slope_sum(below);
    if (grad != nullptr) grad[index] += weight * Loss::slope_sum(below);
  });
  if (grad == nullptr) return sums;
  GapMoments above = before.down;
  position = before.first;
  walk_down(pair, begin, end, [&](bool is_more, int64_t t, double here) {
    above.advance(position - here);
    position = here;
    if (!is_more) {
      above.push(weights.less(pair.less.items[t].index));
      return;
    }
    const int64_t index = pair.more.items[t].index;
    grad[index] -= factor * weights.more(index) * Loss::slope_sum(above);
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
