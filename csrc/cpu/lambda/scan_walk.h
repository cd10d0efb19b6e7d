// SPDX-License-Identifier: BSD-3-Clause
//
// One walk of scan.h over events, the items of two runs by score: down, from the highest
// score, or up. Each event adds what it sees of the other run's items that were passed, and is
// passed itself. Going down, a more relevant item sees less relevant ones above it, pairs in the
// wrong order, and a less relevant item sees pairs in the right order; going up it is the other way
// round. Every pair is seen once on the way down, which adds up the loss, and once on the way up;
// each of its two items gets its gradient where it looks.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/lambda/features.h"
#include "losses/lambda_passes.h"
#include "losses/logistic_series.h"

namespace fused_rankloss::cpu::lambda {

// An event is a rank, with this bit for an item of the more relevant run.
inline constexpr uint32_t kMoreEvent = 0x80000000u;
inline uint32_t rank_of(uint32_t event) { return event & ~kMoreEvent; }

// Events [begin, end) of `size` between two runs.
struct EventRange {
  const uint32_t* events;
  int64_t begin;
  int64_t end;
  int64_t size;
};

inline ScanPasses scan_passes(const LambdaProblem& problem) {
  const bool is_logistic =
      problem.loss == LossLoop::kNarrowLogistic || problem.loss == LossLoop::kWideLogistic;
  return fused_rankloss::scan_passes(is_logistic, problem.weight == WeightLoop::kDeltaNdcg,
                                     problem.top < problem.size, problem.term.margin);
}

// [2][terms]: the coefficients of a pair's value and of its slope.
template <typename Series>
const double* logistic_series() {
  static const auto series = [] {
    std::vector<double> coefficients(2 * Series::kTerms);
    for (int k = 0; k < Series::kTerms; ++k) {
      coefficients[k] = Series::softplus(k);
      coefficients[Series::kTerms + k] = Series::sigmoid(k);
    }
    return coefficients;
  }();
  return series.data();
}

template <typename Features>
class ScanWalk {
 public:
  static constexpr int kFeatures = Features::kCount;
  static constexpr int kScanLanes = 2 * kFeatures;  // [more relevant run?][feature]

  ScanWalk(const LambdaProblem& problem, const ScanPass& pass, double* less_grad)
      : problem_(problem), pass_(pass), less_grad_(less_grad) {
    if (problem.loss == LossLoop::kNarrowLogistic) {
      terms_ = ScanTerms::kNarrow;
      num_terms_ = NarrowSeries::kTerms;
      series_ = logistic_series<NarrowSeries>();
    } else if (problem.loss == LossLoop::kWideLogistic) {
      terms_ = ScanTerms::kWide;
      num_terms_ = WideSeries::kTerms;
      series_ = logistic_series<WideSeries>();
    }
    scale_ = num_terms_ > 0 ? problem.term.sigma : 1;
    scan_ = lambda_loops().scan[static_cast<int>(terms_)][kFeatures == 1   ? 1
                                                          : kFeatures == 2 ? 2
                                                                           : 3];
  }

  // The state behind a range of events, from none before it.
  void pass(const EventRange& range, bool down, ScanState& state) const {
    walk<false>(range, down, position(range, down ? range.begin : range.end - 1), state);
  }

  // Adds the gradients of a range of events, given the state behind the event before it.
  LambdaSums look(const EventRange& range, bool down, ScanState& state) const {
    const int64_t first = down ? range.begin : range.end - 1;
    const int64_t before = down ? first - 1 : first + 1;
    const bool starts = before < 0 || before == range.size;
    return walk<true>(range, down, position(range, starts ? first : before), state);
  }

  // The distance from the event before a range to its last one.
  double distance_down(const EventRange& range) const {
    if (range.begin == 0) return 0;
    return distance(position(range, range.begin - 1), position(range, range.end - 1));
  }
  double distance_up(const EventRange& range) const {
    if (range.end == range.size) return 0;
    return distance(position(range, range.end), position(range, range.begin));
  }

  // state + what it was `distance` ago.
  void combine(const ScanState& before, ScanState& state, double distance) const {
    const double decay = std::exp(-distance);
    for (int lane = 0; lane < kScanLanes; ++lane) {
      const double* from = before.rows + lane;
      double* to = state.rows + lane;
      to[0] += from[0];
      to[kScanLanes] += from[kScanLanes] + from[0] * distance;
      to[2 * kScanLanes] +=
          from[2 * kScanLanes] + distance * (2 * from[kScanLanes] + from[0] * distance);
      double power = 1;
      for (int k = 0; k < num_terms_; ++k) {
        power *= decay;
        to[(3 + k) * kScanLanes] += from[(3 + k) * kScanLanes] * power;
      }
    }
  }

 private:
  // Not added up: large scores would swallow the shift.
  struct Position {
    double score;
    double shift;
  };

  Position position(const EventRange& range, int64_t event) const {
    const uint32_t at = range.events[event];
    return {problem_.score[rank_of(at)], at >= kMoreEvent ? 0 : pass_.shift};
  }

  double distance(const Position& a, const Position& b) const {
    return scale_ * std::fabs((a.score - b.score) + (a.shift - b.shift));
  }

  bool takes_part(bool is_more, int64_t rank) const {
    return is_in(is_more ? pass_.more_ranks : pass_.less_ranks, rank < problem_.top);
  }
  // Whether a rank may be the upper one of a pair.
  bool may_be_upper(int64_t rank) const { return !pass_.upper_in_top || rank < problem_.top; }

  template <bool kLooks>
  LambdaSums walk(const EventRange& range, bool down, Position before, ScanState& state) const {
    double distances[kScanEvents], pushes[kScanEvents * kScanLanes];
    double out[kLooks ? kScanEvents * 4 * kScanLanes : 1];
    LambdaSums sums;
    for (int64_t done = 0; done < range.end - range.begin; done += kScanEvents) {
      const int64_t count = std::min(kScanEvents, range.end - range.begin - done);
      const int64_t first = down ? range.begin + done : range.end - 1 - done;
      const int64_t step = down ? 1 : -1;
      for (int64_t t = 0; t < count; ++t) {
        const uint32_t event = range.events[first + step * t];
        const int64_t rank = rank_of(event);
        const bool is_more = event >= kMoreEvent;
        const Position here = position(range, first + step * t);
        distances[t] = distance(before, here);
        before = here;
        double* push = pushes + t * kScanLanes;
        std::fill_n(push, kScanLanes, 0.0);
        // A factor, not a branch: which run comes next is a coin toss.
        const bool passes = takes_part(is_more, rank) && (!down || may_be_upper(rank));
        Features::push(problem_, is_more, rank, passes, push + is_more * kFeatures);
      }
      scan_({count, distances, pushes, kLooks ? out : nullptr}, series_, state);
      for (int64_t t = 0; kLooks && t < count; ++t) {
        sums.add(look_at(range.events[first + step * t], down, out + t * 4 * kScanLanes));
      }
    }
    return sums;
  }

  // What an event sees.
  LambdaSums look_at(uint32_t event, bool down, const double* out) const {
    const int64_t rank = rank_of(event);
    const bool is_more = event >= kMoreEvent, wrong = down == is_more;
    if (!takes_part(is_more, rank) || (!down && !may_be_upper(rank))) return {};
    const double factor = wrong ? pass_.wrong : pass_.right;
    if (factor == 0) return {};
    double query[kFeatures];
    Features::query(problem_, is_more, rank, query);
    const double* other = out + !is_more * kFeatures;
    double rows[4] = {};
    for (int row = 0; row < 4; ++row) {
      for (int feature = 0; feature < kFeatures; ++feature) {
        rows[row] += query[feature] * other[row * kScanLanes + feature];
      }
    }
    LambdaSums sums;
    const double margin = pass_.margin;
    if (terms_ != ScanTerms::kMoments) {
      sums =
          wrong ? LambdaSums{rows[1] + rows[2], rows[0] - rows[3]} : LambdaSums{rows[2], rows[3]};
    } else if (problem_.loss == LossLoop::kHinge) {
      sums = {rows[1] + margin * rows[0], rows[0]};
    } else {
      sums = {rows[2] + margin * (2 * rows[1] + margin * rows[0]),
              2 * (rows[1] + margin * rows[0])};
    }
    sums.value *= factor;
    sums.slope *= factor;
    if (is_more) {
      problem_.grad[rank] -= sums.slope;
    } else {
      less_grad_[rank] += sums.slope;
    }
    return sums;
  }

  const LambdaProblem& problem_;
  const ScanPass& pass_;
  double* less_grad_;
  ScanTerms terms_ = ScanTerms::kMoments;
  int num_terms_ = 0;
  double scale_ = 1;
  const double* series_ = nullptr;
  LambdaLoops::Scan scan_ = nullptr;
};

}  // namespace fused_rankloss::cpu::lambda
