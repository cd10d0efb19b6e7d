// SPDX-License-Identifier: BSD-3-Clause
//
// The memory of listwise_long.cuh. A launcher brings the stream and the launch itself.
#pragma once

#include <algorithm>

#include "cuda/listwise_long.cuh"
#include "cuda/workspace.h"

namespace fused_rankloss {

class LongListwisePlan {
 public:
  LongListwisePlan(const ListwiseArgs& args, int64_t crossover)
      : args_(args), crossover_(crossover) {}

  // Blocks that have something to do.
  int64_t most_blocks() const { return most_tiles(); }

  int64_t workspace_bytes() const {
    Workspace workspace(nullptr);
    lay_out(workspace);
    return workspace.bytes();
  }

  LongListwiseParams params(void* memory, const ListPartials& partials) const {
    Workspace workspace(memory);
    LongListwiseParams params = lay_out(workspace);
    params.partials = partials;
    return params;
  }

 private:
  // A list has less than one tile that is not full.
  int64_t most_lists() const {
    return std::min(args_.lists.num_lists, args_.lists.num_slots / (crossover_ + 1));
  }
  int64_t most_tiles() const { return args_.lists.num_slots / kScanTile + most_lists(); }

  LongListwiseParams lay_out(Workspace& workspace) const {
    const int64_t size = args_.lists.num_slots, tiles = most_tiles();
    LongListwiseParams params{};
    params.args = args_;
    params.totals = workspace.take<LongListwiseTotals>(1);
    params.records = workspace.take<ListRecord>(most_lists());
    for (std::byte*& cells : params.cells)
      cells = workspace.take<std::byte>(tiles * kTileCellBytes);
    params.indices = workspace.take<uint32_t>(size);
    if (args_.loss_kind == ListwiseLoss::kListNet) return params;
    params.keys = workspace.take<uint64_t>(size);
    params.other = workspace.take<uint32_t>(size);
    params.words =
        workspace.take<uint32_t>(TeamSort::workspace_words((size + kScanTile - 1) / kScanTile));
    params.scores = workspace.take<double>(size);
    if (args_.loss_kind != ListwiseLoss::kApproxNdcg) return params;
    params.slopes = workspace.take<double>(size);
    const bool wide = args_.score_type == ScoreType::kDouble;
    for (int features = 1; features <= 2; ++features) {
      ScanFunctions& functions = params.functions[features - 1];
      if (wide) {
        set_series<WideSeries>(functions, features == 2);
      } else {
        set_series<NarrowSeries>(functions, features == 2);
      }
    }
    params.powers = TileSums<1>::take(workspace, tiles * (kScanTile / kPowerTile), /*sweeps=*/2,
                                      /*features=*/2, params.functions[0].powers);
    return params;
  }

  template <class Series>
  static void set_series(ScanFunctions& functions, bool slope) {
    functions.powers = Series::kTerms;
    for (int k = 0; k < Series::kTerms; ++k) {
      functions.slope[k] = 0;
      functions.value[k] = slope ? Series::curvature(k) : Series::sigmoid(k);
    }
  }

  const ListwiseArgs& args_;
  int64_t crossover_;
};

}  // namespace fused_rankloss
