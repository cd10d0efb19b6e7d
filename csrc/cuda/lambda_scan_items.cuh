// SPDX-License-Identifier: BSD-3-Clause
//
// The items of long lists in the order of a round of lambda_scan.cuh, and what they push and ask
// for in a sweep (exponential_scan.cuh).
#pragma once

#include "cuda/exponential_scan.cuh"
#include "cuda/lambda_items.cuh"
#include "losses/lambda_features.h"
#include "losses/lambda_passes.h"
#include "losses/lambda_terms.h"

namespace fused_rankloss {

// What lies at a place of a round: an item by its position, with two bits.
using ScanEvent = uint32_t;
inline constexpr ScanEvent kMoreEvent = 0x80000000u;  // the more relevant one in this round
inline constexpr ScanEvent kTopEvent = 0x40000000u;   // its rank lies in the top
inline constexpr ScanEvent kInertEvent = 0xffffffffu;

FRL_HD Position position_of(ScanEvent event) { return event & (kTopEvent - 1); }
FRL_HD bool is_more(ScanEvent event) { return (event & kMoreEvent) != 0; }
FRL_HD bool is_top(ScanEvent event) { return (event & kTopEvent) != 0; }

struct ScanOrder {
  ScanEvent* events;  // by place, for whole tiles
  uint32_t* ranks;    // of labels
};

template <typename Real>
struct LambdaScanParams {
  RankedLists<Real> items;
  bool all_pairs;
  bool both;
  int features;
  double scale;      // of distances
  double margin;     // of the hinges
  LambdaTerm equal;  // a pair of equal scores
  ScanPasses passes;
  ScanFunctions functions[ScanPasses::kMost];
  // Workspace
  ScanOrder orders[2];
  ScanEvent* margin_events;  // in the order of s_i and s_j + margin; null: no pass asks for it
  Segments segments;
  TileSums<2> tiles;
  PairSums* partials;  // [tiles]

  FRL_HD int num_sweeps() const { return items.gradients != nullptr ? 2 : 1; }
};

// Whose turn it is where items have both roles.
enum class Turn { kOneRole, kLooksMore, kLooksLess };

// The Source of a pass.
template <typename Real>
struct LambdaSource {
  static constexpr int kSides = 2;

  const LambdaScanParams<Real>& params;
  const ScanPass& pass;
  const ScanEvent* events;
  Turn turn;
  int features;
  double scale;

  FRL_HD LambdaSource(const LambdaScanParams<Real>& params, const ScanPass& pass,
                      const ScanEvent* events, Turn turn)
      : params(params),
        pass(pass),
        events(events),
        turn(turn),
        features(params.features),
        scale(params.scale) {}

  FRL_HD bool looks_more(ScanEvent event) const {
    return turn == Turn::kOneRole ? is_more(event) : turn == Turn::kLooksMore;
  }
  FRL_HD bool pushes_more(ScanEvent event) const {
    return turn == Turn::kOneRole ? is_more(event) : turn == Turn::kLooksLess;
  }

  FRL_HD double position(int64_t place) const {
    const ScanEvent event = events[place];
    if (event == kInertEvent) return 0;
    return params.items.scores[position_of(event)] + (is_more(event) ? 0 : pass.shift);
  }

  // Sweeping up, from the highest score, a more relevant item meets pairs in the wrong order.
  FRL_HD bool is_wrong(SweepStep sweep, ScanEvent event) const {
    return sweep.up == looks_more(event);
  }

  FRL_HD unsigned at(SweepStep sweep, int64_t place) const {
    const Position edge = static_cast<Position>(sweep.up ? place : place + 1);
    unsigned at = edge >= params.items.size || params.segments.is_head(edge) ? kOpens : 0u;
    const ScanEvent event = events[place];
    if (pushes_more(event)) at |= kPushesMore;
    if (!looks_more(event)) at |= kSeesMore;
    if (is_wrong(sweep, event)) at |= kSeesMoments;
    return at;
  }

  FRL_HD double push(SweepStep sweep, int64_t place, int feature) const {
    const ScanEvent event = events[place];
    const bool more = pushes_more(event);
    if (!takes_part(event, more) || !(may_be_upper(event) || !sweep.up)) return 0;
    const Position at = position_of(event);
    return pushed_feature(feature, weight(at, more), gain(at), discount(at));
  }

  FRL_HD double query(SweepStep sweep, int64_t place, int feature) const {
    const ScanEvent event = events[place];
    const bool more = looks_more(event);
    if (!takes_part(event, more) || !(may_be_upper(event) || sweep.up)) return 0;
    const double factor = is_wrong(sweep, event) ? pass.wrong : pass.right;
    const Position at = position_of(event);
    return factor *
           queried_feature(features, feature, more, weight(at, more), gain(at), discount(at));
  }

  // Of an item with itself, where that is a pair.
  FRL_HD double own_weight(int64_t place) const {
    const ScanEvent event = events[place];
    if (event == kInertEvent || !may_be_upper(event)) return 0;
    const Position at = position_of(event);
    return weight(at, true) * weight(at, false);
  }

  // Adds what the item at a place has seen.
  FRL_HD void add_gradient(int64_t place, double slope) const {
    const ScanEvent event = events[place];
    if (event == kInertEvent) return;
    params.items.gradients[position_of(event)] += looks_more(event) ? -slope : slope;
  }

 private:
  FRL_HD bool takes_part(ScanEvent event, bool more) const {
    return event != kInertEvent && is_in(more ? pass.more_ranks : pass.less_ranks, is_top(event));
  }
  FRL_HD bool may_be_upper(ScanEvent event) const { return !pass.upper_in_top || is_top(event); }

  FRL_HD double weight(Position at, bool more) const {
    return (more ? params.items.more_weights : params.items.less_weights)[at];
  }
  FRL_HD double gain(Position at) const { return features > 1 ? params.items.gains[at] : 0; }
  FRL_HD double discount(Position at) const {
    return features > 2 ? params.items.discounts[at] : 0;
  }
};

}  // namespace fused_rankloss
