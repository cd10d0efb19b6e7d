// SPDX-License-Identifier: BSD-3-Clause
//
// Lambda losses whose pair weights factor, in O(n log n) instead of O(n^2) time.
//
// Sums. With x the distance of two scores, a pair's term is a sum of exponentials exp(-k x)
// (logistic.h; plus x itself if the pair is in the wrong order) or a polynomial of x (hinges). A
// walk over items in the order of their scores carries sums of these terms over all items passed.
// Each step updates them: A_k <- exp(-k step) A_k + push. All decays are <= 1, and nothing
// overflows.
//
// Weights are sums of products with one factor per item (losses/lambda_features.h). One to three
// walks sum the pairs (losses/lambda_passes.h).
//
// Pairs. Runs of items in ascending label order, each in the order of ranks, are swept two by two
// and then merged, as in merge_rounds.h. Small grades share a run, within which pairs are compared
// directly. ndcg_loss1 ignores labels: it sweeps the list against itself once.
//
// Determinism: sweeps are cut into chunks that depend on sizes alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "cpu/lambda/direct.h"
#include "cpu/lambda/policy.h"
#include "cpu/lambda/scan_walk.h"
#include "cpu/lists/merge_rounds.h"

namespace fused_rankloss::cpu::lambda {

class LambdaScan {
 public:
  // For lists of up to `items` items; the hinges need a second order of events.
  LambdaScan(Workspace& workspace, const LambdaArgs& args, int64_t items)
      : wants_grad_(args.raw_grad != nullptr),
        runs_(workspace.take<uint32_t>(items)),
        events_(workspace.take<uint32_t>(copies(args) * items)),
        margin_events_(args.pair_loss == PairLoss::kLogistic
                           ? nullptr
                           : workspace.take<uint32_t>(copies(args) * items)),
        scores_(workspace.take<double>(items)),
        less_grad_(args.scheme == Scheme::kNdcgLoss1 ? workspace.take<double>(items) : nullptr) {}

  LambdaSums solve(const LambdaProblem& problem, LambdaDirect& direct, bool finite,
                   const ThreadTeam& team) {
    LambdaProblem own = problem;
    if (!finite) own.score = finite_scores(problem);
    LambdaSums sums;
    std::vector<int64_t> bounds;
    if (own.all_pairs) {
      for (int64_t r = 0; r < own.size; ++r) runs_[r] = static_cast<uint32_t>(r);
      std::fill_n(less_grad_, own.size, 0.0);
      const Side all{runs_, own.size};
      sums = sweep_round(own, {{all, all, 0}}, true, team);
      for (int64_t r = 0; r < own.size; ++r) own.grad[r] += less_grad_[r];
    } else {
      sums = solve_leaves(own, direct, bounds, team);
      for (bool last = bounds.size() <= 2; !last;) {
        last = bounds.size() == 3;
        sums.add(sweep_round(own, neighbours(bounds), !last, team));
        // The last merge is not needed.
        if (!last) take_merged(bounds);
      }
    }
    if (!finite) add_infinite_pairs(problem, sums);
    return sums;
  }

 private:
  // A run, in the order of ranks.
  struct Side {
    const uint32_t* ranks;
    int64_t size;
  };
  // Two runs to sweep, whose events start at `first`.
  struct RunPair {
    Side more;
    Side less;
    int64_t first;

    int64_t size() const { return more.size + less.size; }
  };

  static int64_t copies(const LambdaArgs& args) {
    return args.scheme == Scheme::kNdcgLoss1 ? 2 : 1;
  }

  // Replaces infinite scores by finite ones so far from all others that terms are the same.
  const double* finite_scores(const LambdaProblem& problem) {
    double low = 0, high = 0;
    bool any = false;
    for (int64_t r = 0; r < problem.size; ++r) {
      if (std::isinf(problem.score[r])) continue;
      if (!any) high = problem.score[r];
      low = problem.score[r];
      any = true;
    }
    const double far = 800 / problem.term.sigma + std::fabs(problem.term.margin) + 1;
    high += far + std::fabs(high);
    low -= far + std::fabs(low);
    for (int64_t r = 0; r < problem.size; ++r) {
      scores_[r] = std::clamp(problem.score[r], low, high);
    }
    return scores_;
  }

  // Adds what finite_scores leaves out: the kept pairs of positive weight that are in the wrong
  // order with an infinite gap. In these the less relevant item has the upper rank, in the top, and
  // score +inf, or the other one has -inf. Equal infinities share a grade, or lie beyond the top.
  static void add_infinite_pairs(const LambdaProblem& problem, LambdaSums& sums) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const bool has_gains = problem.weight != WeightLoop::kUnit;
    const bool has_discounts = problem.weight == WeightLoop::kDeltaNdcg;
    // Gains rise with grades and discounts fall, otherwise the list is not scanned.
    const auto is_pair = [&](int64_t more, int64_t less) {
      if (problem.all_pairs) return true;
      return problem.grade[more] > problem.grade[less] &&
             !(has_gains && problem.gain[more] == problem.gain[less]);
    };
    const auto is_less = [&](int64_t a, int64_t b) {
      if (problem.grade[a] != problem.grade[b]) return problem.grade[a] < problem.grade[b];
      return has_gains && problem.gain[a] < problem.gain[b];
    };
    const auto is_far = [&](int64_t upper, int64_t lower) {
      const double above = problem.score[upper], below = problem.score[lower];
      return (above == kInfinity || below == -kInfinity) && above != below &&
             !(has_discounts && !(problem.discount[upper] > problem.discount[lower]));
    };
    const int64_t top = std::min(problem.top, problem.size);
    const bool infinite_slope = problem.loss == LossLoop::kSquaredHinge;
    int64_t least = -1;  // the least relevant of the items that are far above the rank
    for (int64_t r = 0, passed = 0; r < problem.size; ++r) {
      for (; passed < std::min(r, top) && is_far(passed, r); ++passed) {
        if (problem.less_weight[passed] == 0) continue;
        if (least < 0 || is_less(passed, least)) least = passed;
      }
      if (least < 0 || problem.more_weight[r] == 0 || !is_pair(r, least)) continue;
      sums.value = kInfinity;
      if (!infinite_slope) return;
      sums.slope = kInfinity;
      problem.grad[r] -= kInfinity;
    }
    if (!infinite_slope || sums.value != kInfinity) return;
    int64_t most = -1;  // the most relevant of the items that are far below the rank
    for (int64_t r = top - 1, passed = problem.size - 1; r >= 0; --r) {
      for (; passed > r && is_far(r, passed); --passed) {
        if (problem.more_weight[passed] == 0) continue;
        if (most < 0 || is_less(most, passed)) most = passed;
      }
      if (most >= 0 && problem.less_weight[r] != 0 && is_pair(most, r)) {
        problem.grad[r] += kInfinity;
      }
    }
  }

  // Cuts the grades into runs, and sums the pairs within each.
  LambdaSums solve_leaves(const LambdaProblem& problem, LambdaDirect& direct,
                          std::vector<int64_t>& bounds, const ThreadTeam& team) {
    LambdaSums sums;
    const int32_t* starts = problem.grade_starts;
    bounds.push_back(0);
    for (int64_t begin = 0, end = 0; begin < problem.num_grades; begin = end) {
      while (end == begin ||
             (end < problem.num_grades && starts[end + 1] - starts[begin] <= kLeafItems)) {
        ++end;
      }
      if (starts[end] == starts[begin]) continue;
      if (end - begin > 1) sums.add(direct.solve(problem, begin, end, team));
      std::copy(problem.by_grade + starts[begin], problem.by_grade + starts[end],
                runs_ + starts[begin]);
      if (end - begin > 1) std::sort(runs_ + starts[begin], runs_ + starts[end]);
      bounds.push_back(starts[end]);
    }
    return sums;
  }

  std::vector<RunPair> neighbours(const std::vector<int64_t>& bounds) const {
    std::vector<RunPair> pairs;
    for (size_t t = 0; t + 2 < bounds.size(); t += 2) {
      const int64_t begin = bounds[t], middle = bounds[t + 1], end = bounds[t + 2];
      pairs.push_back({{runs_ + middle, end - middle}, {runs_ + begin, middle - begin}, begin});
    }
    return pairs;
  }

  // Makes the events in the order of ranks the runs of the next round.
  void take_merged(std::vector<int64_t>& bounds) {
    const size_t runs = bounds.size() - 1;
    const int64_t paired = bounds[runs - runs % 2];
    for (int64_t t = 0; t < paired; ++t) runs_[t] = rank_of(events_[t]);
    std::vector<int64_t> merged;
    for (size_t t = 0; t < runs; t += 2) merged.push_back(bounds[t]);
    merged.push_back(bounds.back());
    bounds = std::move(merged);
  }

  // All walks over all pairs of runs. `merged`: the caller needs the events in the order of ranks.
  LambdaSums sweep_round(const LambdaProblem& problem, const std::vector<RunPair>& pairs,
                         bool merged, const ThreadTeam& team) {
    std::vector<SweepChunk> chunks;
    for (size_t pair = 0; pair < pairs.size(); ++pair) {
      append_chunks(static_cast<int64_t>(pair), pairs[pair].size(), chunks);
    }
    const ScanPasses passes = scan_passes(problem);
    const bool by_rank = merged || std::any_of(passes.at, passes.at + passes.size,
                                               [](const ScanPass& pass) { return pass.by_rank; });
    const double margin = problem.term.margin;
    team.run(chunks.size(), [&](int64_t task, int) {
      const SweepChunk& chunk = chunks[task];
      const RunPair& pair = pairs[chunk.pair];
      if (by_rank) {
        merge(pair, chunk, events_,
              [&](int64_t i, int64_t j) { return pair.more.ranks[i] < pair.less.ranks[j]; });
      }
      if (margin_events_ != nullptr) {
        merge(pair, chunk, margin_events_, [&](int64_t i, int64_t j) {
          return problem.score[pair.more.ranks[i]] - problem.score[pair.less.ranks[j]] > margin;
        });
      }
    });
    LambdaSums sums;
    for (int at = 0; at < passes.size; ++at) {
      const ScanPass& pass = passes.at[at];
      const uint32_t* events = pass.by_rank ? events_ : margin_events_;
      sums.add(dispatch_features(problem.weight, [&](auto features) {
        return sweep<decltype(features)>(problem, pass, pairs, chunks, events, team);
      }));
    }
    return sums;
  }

  // Writes the chunk's events, from the highest score to the lowest.
  template <typename Order>
  static void merge(const RunPair& pair, const SweepChunk& chunk, uint32_t* events,
                    Order&& more_first) {
    Cut at = cut_at(pair.more.size, pair.less.size, chunk.begin, more_first);
    const Cut to = cut_at(pair.more.size, pair.less.size, chunk.end, more_first);
    uint32_t* out = events + pair.first + chunk.begin;
    while (at.more < to.more && at.less < to.less) {
      const bool is_more = more_first(at.more, at.less);
      *out++ = is_more ? pair.more.ranks[at.more] | kMoreEvent : pair.less.ranks[at.less];
      at.more += is_more;
      at.less += !is_more;
    }
    for (; at.more < to.more; ++at.more) *out++ = pair.more.ranks[at.more] | kMoreEvent;
    for (; at.less < to.less; ++at.less) *out++ = pair.less.ranks[at.less];
  }

  template <typename Features>
  LambdaSums sweep(const LambdaProblem& problem, const ScanPass& pass,
                   const std::vector<RunPair>& pairs, const std::vector<SweepChunk>& chunks,
                   const uint32_t* events, const ThreadTeam& team) const {
    using Walk = ScanWalk<Features>;
    const Walk walk(problem, pass, less_grad_ != nullptr ? less_grad_ : problem.grad);
    const int64_t size = static_cast<int64_t>(chunks.size());
    const auto events_of = [&](int64_t task) {
      const SweepChunk& chunk = chunks[task];
      return EventRange{events + pairs[chunk.pair].first, chunk.begin, chunk.end,
                        pairs[chunk.pair].size()};
    };
    // The states of the walks at the start of each chunk, down and up.
    std::vector<ScanState> down(size), up(wants_grad_ ? size : 0);
    team.run(size, [&](int64_t task, int) {
      const EventRange range = events_of(task);
      if (range.size == range.end - range.begin) return;
      walk.pass(range, true, down[task]);
      if (wants_grad_) walk.pass(range, false, up[task]);
    });
    ScanState before;
    for (int64_t task = 0; task < size; ++task) {
      const EventRange range = events_of(task);
      before = range.begin == 0 ? ScanState{} : before;
      std::swap(before, down[task]);
      walk.combine(down[task], before, walk.distance_down(range));
    }
    for (int64_t task = wants_grad_ ? size - 1 : -1; task >= 0; --task) {
      const EventRange range = events_of(task);
      before = range.end == range.size ? ScanState{} : before;
      std::swap(before, up[task]);
      walk.combine(up[task], before, walk.distance_up(range));
    }
    std::vector<LambdaSums> parts(size);
    team.run(size, [&](int64_t task, int) {
      const EventRange range = events_of(task);
      parts[task] = walk.look(range, true, down[task]);
      if (wants_grad_) walk.look(range, false, up[task]);
    });
    LambdaSums sums;
    for (const LambdaSums& part : parts) sums.add(part);
    return sums;
  }

  bool wants_grad_;
  uint32_t* runs_;
  uint32_t* events_;         // in the order of ranks
  uint32_t* margin_events_;  // in the order of s_i and s_j + margin, decided by s_i - s_j
  double* scores_;
  double* less_grad_;  // gradients as the less relevant item, if items have both roles
};

}  // namespace fused_rankloss::cpu::lambda
