// SPDX-License-Identifier: BSD-3-Clause
//
// The merge sort by label, round by round: sweep every two neighbouring runs, then merge them.
#pragma once

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "cpu/lists/merge_sweep.h"
#include "cpu/lists/parallel.h"
#include "cpu/lists/policy.h"

namespace fused_rankloss::cpu {

// Runs [bounds[r], bounds[r + 1]) of `items`, each sorted by score, in ascending label order.
template <typename Key>
struct Runs {
  Item<Key>* items;
  Item<Key>* scratch;
  std::vector<int64_t> bounds;
  bool finite;  // no score is infinite

  int64_t count() const { return static_cast<int64_t>(bounds.size()) - 1; }
  int64_t num_pairs() const { return count() / 2; }
  int64_t begin(int64_t pair) const { return bounds[2 * pair]; }
  int64_t middle(int64_t pair) const { return bounds[2 * pair + 1]; }
  int64_t end(int64_t pair) const { return bounds[2 * pair + 2]; }

  Run<Key> less(int64_t pair) const { return {items + begin(pair), middle(pair) - begin(pair)}; }
  Run<Key> more(int64_t pair) const { return {items + middle(pair), end(pair) - middle(pair)}; }

  // The neighbours with what can take part in no violated pair left out: less relevant items at
  // minus and more relevant ones at plus infinity, whose distance to others is infinite.
  SweepPair<Key> sweep(int64_t pair, double margin) const {
    SweepPair<Key> result{more(pair), less(pair), scratch + middle(pair), scratch + begin(pair),
                          margin};
    if (!finite) {
      using Score = decltype(value_of_key(Key{}));
      const Key top = ordered_key(std::numeric_limits<Score>::infinity());
      const Key bottom = ordered_key(-std::numeric_limits<Score>::infinity());
      const auto below = [](Key key) {
        return [key](const Item<Key>& item) { return item.key < key; };
      };
      const Item<Key>* more = result.more.items;
      result.more.size = std::partition_point(more, more + result.more.size, below(top)) - more;
      const Item<Key>* less = result.less.items;
      const int64_t skipped =
          std::partition_point(less, less + result.less.size, below(bottom + 1)) - less;
      result.less = {less + skipped, result.less.size - skipped};
      result.less_scratch += skipped;
    }
    return result;
  }
};

// One task of a round: events [begin, end) of a pair of runs.
struct Stretch {
  int64_t pair;
  int64_t begin;
  int64_t end;
};

inline void append_stretches(int64_t pair, int64_t num_events, std::vector<Stretch>& stretches) {
  for (int64_t begin = 0; begin < num_events; begin += kSweepStretch) {
    stretches.push_back({pair, begin, std::min(begin + kSweepStretch, num_events)});
  }
}

// The stretches of a round's sweeps.
template <typename Key>
std::vector<Stretch> sweep_stretches(const Runs<Key>& runs, double margin) {
  std::vector<Stretch> stretches;
  for (int64_t pair = 0; pair < runs.num_pairs(); ++pair) {
    const SweepPair<Key> sweep = runs.sweep(pair, margin);
    if (sweep.more.size > 0 && sweep.less.size > 0) {
      append_stretches(pair, sweep.num_events(), stretches);
    }
  }
  return stretches;
}

// Fills scratch[j].key with the sort key of reach(s_j, margin) for all less relevant items.
template <typename Key>
void fill_reach(const Runs<Key>& runs, double margin, bool inclusive, const Team& team) {
  std::vector<Stretch> stretches;
  for (int64_t pair = 0; pair < runs.num_pairs(); ++pair) {
    append_stretches(pair, runs.less(pair).size, stretches);
  }
  team.run(stretches.size(), [&](int64_t task, int) {
    const Stretch& stretch = stretches[task];
    const int64_t first = runs.begin(stretch.pair);
    for (int64_t t = first + stretch.begin; t < first + stretch.end; ++t) {
      runs.scratch[t].key = ordered_key(reach(value_of_key(runs.items[t].key), margin, inclusive));
    }
  });
}

template <typename Key, typename Count>
PairSums sweep_round_counts(const Runs<Key>& runs, double margin, bool inclusive, Count* grad,
                            const Team& team) {
  fill_reach(runs, margin, inclusive, team);
  const std::vector<Stretch> stretches = sweep_stretches(runs, margin);
  team.run(stretches.size(), [&](int64_t task, int) {
    const Stretch& stretch = stretches[task];
    count_pairs(runs.sweep(stretch.pair, margin), stretch.begin, stretch.end);
  });
  std::vector<PairSums> parts(stretches.size());
  team.run(stretches.size(), [&](int64_t task, int) {
    const Stretch& stretch = stretches[task];
    parts[task] = sum_counts(runs.sweep(stretch.pair, margin), stretch.begin, stretch.end, grad);
  });
  return sum_of(parts);
}

// Turns what each stretch adds into what comes before it, from below and from above.
inline void scan_carries(const std::vector<Stretch>& stretches, std::vector<Carry>& carries) {
  const int64_t size = static_cast<int64_t>(stretches.size());
  const std::vector<Carry> own = carries;
  GapMoments up, down;
  for (int64_t t = 0; t < size; ++t) {
    if (stretches[t].begin == 0) up = {};
    carries[t].up = up;
    up.advance(own[t].up_distance);
    up.add(own[t].up);
  }
  for (int64_t t = size - 1; t >= 0; --t) {
    if (t == size - 1 || stretches[t + 1].pair != stretches[t].pair) down = {};
    carries[t].down = down;
    down.advance(own[t].down_distance);
    down.add(own[t].down);
  }
}

// `factor` scales what is added: a boundary slope between 0 and 1 takes two rounds.
template <typename Loss, typename Key, typename Score>
PairSums sweep_round_moments(const Runs<Key>& runs, const ListWeights<Score>& weights,
                             double margin, bool inclusive, double factor, double* grad,
                             const Team& team) {
  fill_reach(runs, margin, inclusive, team);
  const std::vector<Stretch> stretches = sweep_stretches(runs, margin);
  std::vector<Carry> carries(stretches.size());
  const bool cut = std::any_of(stretches.begin(), stretches.end(),
                               [](const Stretch& stretch) { return stretch.begin > 0; });
  if (cut) {
    team.run(stretches.size(), [&](int64_t task, int) {
      const Stretch& stretch = stretches[task];
      carries[task] =
          carry_of(runs.sweep(stretch.pair, margin), weights, stretch.begin, stretch.end);
    });
  }
  scan_carries(stretches, carries);
  std::vector<PairSums> parts(stretches.size());
  team.run(stretches.size(), [&](int64_t task, int) {
    const Stretch& stretch = stretches[task];
    parts[task] = sweep_moments<Loss>(runs.sweep(stretch.pair, margin), weights, stretch.begin,
                                      stretch.end, carries[task], factor, grad);
  });
  return sum_of(parts);
}

// Merges neighbours into `scratch`, which becomes `items`.
template <typename Key>
void merge_round(Runs<Key>& runs, const Team& team) {
  std::vector<Stretch> stretches;
  for (int64_t pair = 0; pair < runs.num_pairs(); ++pair) {
    append_stretches(pair, runs.end(pair) - runs.begin(pair), stretches);
  }
  team.run(stretches.size(), [&](int64_t task, int) {
    const Stretch& stretch = stretches[task];
    merge_runs(runs.more(stretch.pair), runs.less(stretch.pair), stretch.begin, stretch.end,
               runs.scratch + runs.begin(stretch.pair));
  });
  std::vector<int64_t> bounds;
  for (int64_t pair = 0; pair < runs.num_pairs(); ++pair) bounds.push_back(runs.begin(pair));
  if (runs.count() % 2 == 1) {
    const int64_t begin = runs.bounds[runs.count() - 1], end = runs.bounds.back();
    std::copy(runs.items + begin, runs.items + end, runs.scratch + begin);
    bounds.push_back(begin);
  }
  bounds.push_back(runs.bounds.back());
  runs.bounds = std::move(bounds);
  std::swap(runs.items, runs.scratch);
}

}  // namespace fused_rankloss::cpu
