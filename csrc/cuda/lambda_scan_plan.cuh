// SPDX-License-Identifier: BSD-3-Clause
//
// What a call asks of lambda_scan.cuh, and the memory that it needs.
#pragma once

#include <type_traits>

#include "cuda/lambda_scan.cuh"
#include "cuda/lambda_scan.h"
#include "losses/logistic.h"

namespace fused_rankloss {

template <typename Real>
class LambdaScanPlan {
  using Loss = std::conditional_t<sizeof(Real) == 8, WideLogistic, NarrowLogistic>;

 public:
  // `most_lists`: that may be long.
  LambdaScanPlan(const LambdaArgs& args, int64_t most_lists)
      : args_(args), most_lists_(most_lists) {}

  int64_t workspace_bytes() const {
    Workspace workspace(nullptr);
    LambdaScanParams<Real> params = options();
    lay_out(workspace, params);
    return workspace.bytes();
  }

  LambdaScanParams<Real> params(const RankedLists<Real>& items, void* memory) const {
    Workspace workspace(memory);
    LambdaScanParams<Real> params = options();
    params.items = items;
    lay_out(workspace, params);
    return params;
  }

  // Of positions.
  int64_t num_tiles() const { return (args_.lists.num_slots + kScanTile - 1) / kScanTile; }

 private:
  bool is_logistic() const { return args_.pair_loss == PairLoss::kLogistic; }

  LambdaScanParams<Real> options() const {
    LambdaScanParams<Real> params{};
    params.all_pairs = args_.all_pairs();
    params.both = args_.both();
    params.features = scan_features(args_.scheme);
    params.scale = is_logistic() ? args_.sigma : 1;
    params.margin = args_.margin;
    params.equal = Loss::term(0, 0, {1, 0});
    const bool truncated = args_.k > 0 && !args_.both();
    params.passes =
        scan_passes(is_logistic(), args_.scheme == Scheme::kLambdaRank, truncated, args_.margin);
    for (int at = 0; at < params.passes.size; ++at) {
      params.functions[at] = functions(params.passes.at[at].margin);
    }
    return params;
  }

  // A pair in the wrong order is worth polynomials of the gap, the distance and the margin; that
  // of the logistic loss is linear, and has powers besides.
  ScanFunctions functions(double margin) const {
    ScanFunctions functions;
    functions.has_moments = true;
    const auto set = [](double (&to)[3], double count, double first, double second) {
      to[0] = count;
      to[1] = first;
      to[2] = second;
    };
    switch (args_.pair_loss) {
      case PairLoss::kLogistic:
        set(functions.slope_moments, 1, 0, 0);
        set(functions.value_moments, 0, 1, 0);
        functions.powers = Loss::Series::kTerms;
        for (int k = 0; k < functions.powers; ++k) {
          functions.slope[k] = Loss::Series::sigmoid(k);
          functions.value[k] = Loss::Series::softplus(k);
        }
        break;
      case PairLoss::kHinge:
        set(functions.slope_moments, 1, 0, 0);
        set(functions.value_moments, margin, 1, 0);
        break;
      case PairLoss::kSquaredHinge:
        set(functions.slope_moments, 2 * margin, 2, 0);
        set(functions.value_moments, margin * margin, 2 * margin, 1);
        break;
    }
    return functions;
  }

  void lay_out(Workspace& workspace, LambdaScanParams<Real>& params) const {
    const int64_t tiles = num_tiles(), size = tiles * kScanTile;
    for (ScanOrder& order : params.orders) {
      order.events = workspace.take<ScanEvent>(size);
      order.ranks = workspace.take<uint32_t>(size);
    }
    if (!is_logistic()) params.margin_events = workspace.take<ScanEvent>(size);
    params.segments = {workspace.take<RunRecord>(tiles * kScanThreads),
                       workspace.take<TileRecord>(tiles), args_.lists.num_slots};
    const int sweeps = args_.raw_grad != nullptr ? 2 : 1;
    // The table's tiles: a list begins one.
    const int64_t parts = (tiles + most_lists_) * (kScanTile / kPowerTile);
    params.tiles =
        TileSums<2>::take(workspace, parts, sweeps, params.features, params.functions[0].powers);
    params.partials = workspace.take<PairSums>(parts);
  }

  const LambdaArgs& args_;
  int64_t most_lists_;
};

}  // namespace fused_rankloss
