// SPDX-License-Identifier: BSD-3-Clause
//
// The sums of an item of a long list over its violating partners, which are one range of its
// segment (score_order.cuh), in one round and for one margin:
//
//   LongCounts        the unweighted hinge with boundary_grad 0 or 1: integer counts
//   LongValues<Loss>  everything else: moments of the gaps, times weights
//
// As in terms.cuh, a term computes the number of pairs and the sums of values, slopes and
// gradients. The first item of a segment counts all of its pairs.
#pragma once

#include "args/pairwise.h"
#include "cuda/lists/partials.cuh"
#include "cuda/lists/score_moments.cuh"
#include "cuda/lists/score_order.cuh"

namespace fused_rankloss::cuda::pairwise {

// The data of one round of the bit decomposition.
template <typename Real>
struct Round {
  Order<ScoreKey<Real>> order;
  Segments segments;
  MomentArrays moments;  // if the term needs them
  double* gradients;     // [K, slots], if the term needs moments: sums of the rounds so far
  bool first;
  bool last;
};

template <typename Real>
struct LongItem {
  Position position;
  uint32_t slot;
  int64_t list;
  Real score;
  bool more;     // more relevant in this round
  Span segment;  // the item's segment
  Span window;   // part of the segment in which its range of violating partners ends

  FRL_HD bool counts_pairs() const { return position == segment.begin; }
};

// ---- Counts ----------------------------------------------------------------

// With c_t violating pairs as the more relevant item and k_t as the less relevant one, the sum is
// sum_t c_t m + (k_t - c_t) s_t: see CountTerm.
template <typename RealT>
class LongCounts {
 public:
  using Real = RealT;
  static constexpr bool kMoments = false;

  FRL_HD LongCounts(const PairwiseArgs& args, const Round<Real>& round, int64_t k, double margin)
      : args_(args), round_(round), k_(k), margin_(margin) {}

  __device__ __forceinline__ ListPartial answer(const LongItem<Real>& item) const {
    const int64_t count = violations(item);
    const int64_t gradient = item.more ? -count : count;
    store_gradient(item.slot, gradient);
    ListPartial partial;
    if (item.more) partial.slope = static_cast<double>(count);
    // No violating pairs add exactly 0, even with an infinite margin or score.
    if (partial.slope != 0) partial.value.add_product(partial.slope, margin_);
    if (count != 0) {
      partial.value.add_product(static_cast<double>(gradient), static_cast<double>(item.score));
    }
    if (has_no_gap(margin_, item.score)) partial.slope = kNan<double>;
    if (item.counts_pairs()) {
      const int64_t less = round_.segments.less_in(item.segment);
      partial.pairs = static_cast<double>(less * (item.segment.size() - less));
    }
    return partial;
  }

 private:
  __device__ __forceinline__ uint32_t violations(const LongItem<Real>& item) const {
    const Reaches<ScoreKey<Real>> reaches{round_.order.keys, margin_, args_.boundary_grad == 1};
    if (item.more) {
      return round_.segments.less_in(
          {reaches.first_reaching(item.window, item.score), item.segment.end});
    }
    const Span span{item.segment.begin, reaches.first_beyond(item.window, item.score)};
    return span.size() - round_.segments.less_in(span);
  }

  // The rounds accumulate in the output.
  FRL_HD void store_gradient(uint32_t slot, int64_t gradient) const {
    if (args_.raw_grad == nullptr) return;
    int32_t& sum = static_cast<int32_t*>(args_.raw_grad)[k_ * args_.lists.num_slots + slot];
    sum = static_cast<int32_t>(gradient) + (round_.first ? 0 : sum);
  }

  const PairwiseArgs& args_;
  const Round<Real>& round_;
  int64_t k_;
  double margin_;
};

// ---- Values ----------------------------------------------------------------

// A pair's weight is a product of one factor per item. At the boundary, the slope of an indicator
// is a blend of its limits from both sides. Each limit has its own range of violating partners.
template <typename Loss, typename RealT>
class LongValues {
 public:
  using Real = RealT;
  static constexpr bool kMoments = true;

  FRL_HD LongValues(const PairwiseArgs& args, const Round<Real>& round, int64_t k, double margin)
      : args_(args), round_(round), k_(k), margin_(margin) {}

  __device__ __forceinline__ ListPartial answer(const LongItem<Real>& item) const {
    const SweepWeights<Real> weights = sweep_weights(args_);
    const double weight = item.more ? weights.more(item.slot) : weights.less(item.slot);
    double value = 0, slope = 0;
#pragma unroll 1
    for (int inclusive = 1; inclusive >= 0; --inclusive) {
      const double part = Loss::kSlopeIsIndicator ? args_.boundary_grad : 1;
      const double factor = inclusive ? part : 1 - part;
      if (factor == 0) continue;
      const GapMoments violating = item.more ? above(item, inclusive) : below(item, inclusive);
      value += factor * Loss::value_sum(violating);
      slope += factor * Loss::slope_sum(violating);
    }
    slope = product(weight, slope);
    store_gradient(item, item.more ? -slope : slope);

    ListPartial partial;
    if (!item.more) {
      partial.value.high = product(weight, value);
      partial.slope = slope;
    }
    if (has_no_gap(margin_, item.score)) partial.slope = kNan<double>;
    if (item.counts_pairs()) {
      partial.pairs = product(sweep<Sweep::kUp>().at(item.segment.end - 1).count,
                              sweep<Sweep::kDown>().at(item.segment.begin).count);
    }
    return partial;
  }

  FRL_HD static SweepWeights<Real> sweep_weights(const PairwiseArgs& args) {
    return {static_cast<const Real*>(args.weights), args.preferred};
  }

  template <Sweep kSweep>
  FRL_HD static MomentSweep<kSweep, Real> sweep(const PairwiseArgs& args,
                                                const Round<Real>& round) {
    constexpr int kIndex = static_cast<int>(kSweep);
    return {round.order, round.segments, sweep_weights(args), round.moments.checkpoints[kIndex],
            round.moments.tiles[kIndex]};
  }

 private:
  template <Sweep kSweep>
  FRL_HD MomentSweep<kSweep, Real> sweep() const {
    return sweep<kSweep>(args_, round_);
  }

  // Items without a partner add nothing.
  FRL_HD static double product(double a, double b) { return a == 0 || b == 0 ? 0 : a * b; }

  FRL_HD double gap(double more, double less) const { return margin_ - (more - less); }

  // Moments of the gaps between a more relevant item and its violating less relevant partners.
  __device__ __forceinline__ GapMoments above(const LongItem<Real>& item, bool inclusive) const {
    const Reaches<ScoreKey<Real>> reaches{round_.order.keys, margin_, inclusive};
    const Position begin = reaches.first_reaching(item.window, item.score);
    if (begin == item.segment.end) return {};
    GapMoments moments = sweep<Sweep::kDown>().at(begin);
    moments.advance(gap(item.score, reaches.score(begin)));
    return moments;
  }

  __device__ __forceinline__ GapMoments below(const LongItem<Real>& item, bool inclusive) const {
    const Reaches<ScoreKey<Real>> reaches{round_.order.keys, margin_, inclusive};
    const Position end = reaches.first_beyond(item.window, item.score);
    if (end == item.segment.begin) return {};
    GapMoments moments = sweep<Sweep::kUp>().at(end - 1);
    moments.advance(gap(reaches.score(end - 1), item.score));
    return moments;
  }

  // The rounds accumulate in fp64; the last one rounds to Real.
  FRL_HD void store_gradient(const LongItem<Real>& item, double gradient) const {
    if (args_.raw_grad == nullptr) return;
    const int64_t index = k_ * args_.lists.num_slots + item.slot;
    if (!round_.first) gradient += round_.gradients[index];
    if (round_.last) {
      static_cast<Real*>(args_.raw_grad)[index] =
          static_cast<Real>(gradient / args_.unit(item.list));
    } else {
      round_.gradients[index] = gradient;
    }
  }

  const PairwiseArgs& args_;
  const Round<Real>& round_;
  int64_t k_;
  double margin_;
};

}  // namespace fused_rankloss::cuda::pairwise
