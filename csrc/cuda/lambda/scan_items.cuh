// SPDX-License-Identifier: BSD-3-Clause
//
// The items of long lists in the order of a round of scan.cuh, and what they push and ask
// for in a sweep (exponential_scan.cuh).
#pragma once

#include "cuda/lambda/ranked_lists.cuh"
#include "cuda/lists/exponential_scan.cuh"
#include "losses/lambda_features.h"

namespace fused_rankloss::cuda::lambda {

// What lies at a place of a round: an item by its position, and whether its rank lies in the top.
using ScanEvent = uint32_t;
inline constexpr ScanEvent kTopEvent = 0x80000000u;

FRL_HD Position position_of(ScanEvent event) { return event & (kTopEvent - 1); }
FRL_HD bool is_top(ScanEvent event) { return (event & kTopEvent) != 0; }

struct ScanOrder {
  ScanEvent* events;  // by place, for whole tiles
  uint32_t* ranks;    // of labels
};

template <typename Real>
struct LambdaScanParams {
  RankedLists<Real> items;
  OrderedPairs* ordered;  // [num_lists], 0 at first; null: not wanted
  int features;           // of the pairs' weights; 0: their losses are not wanted
  bool both;              // both ranks of a pair lie in the top, else the upper one
  double wrong;           // factor of pairs in the wrong order of ranks
  double scale;           // of distances
  ScanFunctions functions;
  // Workspace
  ScanOrder orders[2];
  Segments segments;
  TileSums<2> tiles;
  PairSums* partials;  // [tiles]

  FRL_HD int num_sweeps() const { return items.gradients != nullptr ? 2 : 1; }
};

// The Source of a round.
template <typename Real>
struct LambdaSource {
  static constexpr int kSides = 2;

  const LambdaScanParams<Real>& params;
  const ScanEvent* events;
  int features;
  double scale;

  FRL_HD LambdaSource(const LambdaScanParams<Real>& params, const ScanEvent* events)
      : params(params), events(events), features(params.features), scale(params.scale) {}

  FRL_HD double position(int64_t place) const {
    return params.items.scores[position_of(events[place])];
  }

  FRL_HD bool is_more(int64_t place) const {
    return params.segments.is_more(static_cast<Position>(place));
  }

  // Sweeping up, from the highest score, a more relevant item meets pairs in the wrong order.
  FRL_HD bool is_wrong(SweepStep sweep, int64_t place) const { return sweep.up == is_more(place); }

  FRL_HD unsigned at(SweepStep sweep, int64_t place) const {
    const Position edge = static_cast<Position>(sweep.up ? place : place + 1);
    unsigned at = edge >= params.items.size || params.segments.is_head(edge) ? kOpens : 0u;
    at |= is_more(place) ? kPushesMore : kSeesMore;
    if (is_wrong(sweep, place)) at |= kSeesMoments;
    return at;
  }

  // On the way up an item that pushes is the upper one of its pairs, on the way down one that asks.
  FRL_HD double push(SweepStep sweep, int64_t place, int feature) const {
    const ScanEvent event = events[place];
    if (!takes_part(event, sweep.up)) return 0;
    const Position at = position_of(event);
    return pushed_feature(feature, weight(at, is_more(place)), gain(at), discount(at));
  }

  FRL_HD double query(SweepStep sweep, int64_t place, int feature) const {
    const ScanEvent event = events[place];
    if (!takes_part(event, !sweep.up)) return 0;
    const bool more = is_more(place);
    const double factor = is_wrong(sweep, place) ? params.wrong : 1;
    const Position at = position_of(event);
    return factor *
           queried_feature(features, feature, more, weight(at, more), gain(at), discount(at));
  }

  // Adds what the item at a place has seen.
  FRL_HD void add_gradient(int64_t place, double slope) const {
    params.items.gradients[position_of(events[place])] += is_more(place) ? -slope : slope;
  }

 private:
  FRL_HD bool takes_part(ScanEvent event, bool is_upper) const {
    return is_top(event) || !(is_upper || params.both);
  }

  FRL_HD double weight(Position at, bool more) const {
    return (more ? params.items.more_weights : params.items.less_weights)[at];
  }
  FRL_HD double gain(Position at) const { return features > 1 ? params.items.gains[at] : 0; }
  FRL_HD double discount(Position at) const {
    return features > 2 ? params.items.discounts[at] : 0;
  }
};

}  // namespace fused_rankloss::cuda::lambda
