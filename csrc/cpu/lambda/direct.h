// SPDX-License-Identifier: BSD-3-Clause
//
// Pairs compared one by one. The items of some grades, in ascending order of grade, are both the
// columns `less` and the rows `more`: a row forms pairs with the columns of lower grades. With
// truncation to ranks below `top`, rows of the top form pairs with all columns, and the other rows
// with the columns of the top.
//
// Time O(pairs), memory O(n). Many pairs are split by rows into chunks (`parts`) for several
// threads, which sum the gradients of columns separately. The chunks depend on sizes alone.
#pragma once

#include <algorithm>
#include <vector>

#include "common/workspace.h"
#include "cpu/lambda/policy.h"
#include "cpu/lambda/problem.h"
#include "cpu/lists/parallel.h"

namespace fused_rankloss::cpu::lambda {

class LambdaDirect {
 public:
  // For up to `items` items at once.
  LambdaDirect(Workspace& workspace, int64_t items)
      : more_(side(workspace, items)),
        less_(side(workspace, items)),
        counts_(workspace.take<int32_t>(items)),
        parts_(items < kSharedPairs ? nullptr
                                    : workspace.take<double>((items + kSidePadding) * kPairParts)) {
  }

  // The pairs within grades [begin, end).
  LambdaSums solve(const LambdaProblem& problem, int64_t begin, int64_t end,
                   const ThreadTeam& team) {
    LambdaSums sums;
    const int64_t all = problem.size;
    if (problem.top >= problem.size) {
      sums.add(solve(problem, begin, end, {0, all}, {0, all}, team));
    } else {
      sums.add(solve(problem, begin, end, {0, problem.top}, {0, all}, team));
      sums.add(solve(problem, begin, end, {problem.top, all}, {0, problem.top}, team));
    }
    return sums;
  }

 private:
  static LambdaSide side(Workspace& workspace, int64_t items) {
    items += kSidePadding;
    return {0,
            workspace.take<double>(items),
            workspace.take<double>(items),
            workspace.take<double>(items),
            workspace.take<double>(items),
            workspace.take<double>(items),
            workspace.take<int32_t>(items)};
  }

  // Appends the item at a rank.
  static void append(const LambdaProblem& problem, int32_t rank, const double* weight,
                     LambdaSide& side) {
    const int64_t at = side.size++;
    side.score[at] = problem.score[rank];
    side.gain[at] = problem.gain[rank];
    side.discount[at] = problem.discount[rank];
    side.weight[at] = weight[rank];
    side.grad[at] = 0;
    side.rank[at] = rank;
  }

  static void pad(LambdaSide& side) {
    for (double* array : {side.score, side.gain, side.discount, side.weight, side.grad}) {
      std::fill_n(array + side.size, kSidePadding, 0.0);
    }
    std::fill_n(side.rank + side.size, kSidePadding, 0);
  }

  // The pairs of rows and columns whose ranks lie in the two ranges.
  LambdaSums solve(const LambdaProblem& problem, int64_t begin, int64_t end, Range row_ranks,
                   Range column_ranks, const ThreadTeam& team) {
    const auto within = [](Range range, int32_t rank) {
      return rank >= range.begin && rank < range.end;
    };
    more_.size = less_.size = 0;
    int64_t num_pairs = 0;
    for (int64_t grade = begin; grade < end; ++grade) {
      const int64_t below = less_.size;
      for (int64_t t = problem.grade_starts[grade]; t < problem.grade_starts[grade + 1]; ++t) {
        const int32_t rank = problem.by_grade[t];
        if (within(column_ranks, rank)) append(problem, rank, problem.less_weight, less_);
        if (!within(row_ranks, rank) || (below == 0 && !problem.all_pairs)) continue;
        counts_[more_.size] = static_cast<int32_t>(below);
        append(problem, rank, problem.more_weight, more_);
        num_pairs += below;
      }
    }
    pad(less_);
    if (problem.all_pairs) {
      std::fill(counts_, counts_ + more_.size, static_cast<int32_t>(less_.size));
      num_pairs = more_.size * less_.size;
    }
    const LambdaSums sums = sum_rows(problem, num_pairs, team);
    for (const LambdaSide* side : {&more_, &less_}) {
      for (int64_t t = 0; t < side->size; ++t) problem.grad[side->rank[t]] += side->grad[t];
    }
    return sums;
  }

  LambdaSums sum_rows(const LambdaProblem& problem, int64_t num_pairs,
                      const ThreadTeam& team) const {
    const auto loop =
        lambda_loops().sum_pairs[static_cast<int>(problem.loss)][static_cast<int>(problem.weight)]
                                [problem.normalized];
    LambdaPairs pairs{more_, less_, counts_, problem.delta, problem.term};
    if (parts_ == nullptr || less_.size < kSharedPairs) return loop(pairs);

    // Chunks of rows with about equally many pairs.
    int64_t bounds[kPairParts + 1] = {};
    int64_t passed = 0, part = 1;
    for (int64_t i = 0; i < more_.size; ++i) {
      passed += counts_[i];
      while (part < kPairParts && passed * kPairParts >= num_pairs * part) bounds[part++] = i + 1;
    }
    while (part <= kPairParts) bounds[part++] = more_.size;
    LambdaSums parts[kPairParts];
    team.run(kPairParts, [&](int64_t task, int) {
      LambdaPairs own = pairs;
      own.more = slice(more_, bounds[task], bounds[task + 1]);
      own.counts = counts_ + bounds[task];
      own.less.grad = parts_ + task * (less_.size + kSidePadding);
      std::fill_n(own.less.grad, less_.size + kSidePadding, 0.0);
      parts[task] = loop(own);
    });
    LambdaSums sums;
    for (int64_t task = 0; task < kPairParts; ++task) {
      sums.add(parts[task]);
      for (int64_t t = 0; t < less_.size; ++t) {
        less_.grad[t] += parts_[task * (less_.size + kSidePadding) + t];
      }
    }
    return sums;
  }

  static LambdaSide slice(const LambdaSide& side, int64_t begin, int64_t end) {
    return {end - begin,         side.score + begin, side.gain + begin, side.discount + begin,
            side.weight + begin, side.grad + begin,  side.rank + begin};
  }

  LambdaSide more_;
  LambdaSide less_;
  int32_t* counts_;
  double* parts_;  // [kPairParts][items + kSidePadding]
};

}  // namespace fused_rankloss::cpu::lambda
