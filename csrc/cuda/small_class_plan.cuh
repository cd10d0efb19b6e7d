// SPDX-License-Identifier: BSD-3-Clause
//
// The steps of small_class.cuh in their order, and the memory that they need.
#pragma once

#include "cuda/one_list_plan.cuh"
#include "cuda/small_class.cuh"
#include "cuda/workspace.h"

namespace fused_rankloss {

template <typename Real>
class SmallClassPlan {
 public:
  explicit SmallClassPlan(const PairwiseArgs& args) : args_(args) {}

  int64_t workspace_bytes() const {
    Workspace workspace(nullptr);
    lay_out(workspace);
    return workspace.bytes();
  }

  // On a Device of LongListsPlan::run that also does what comes then, as UnsolvedListPlan:
  //
  //   unsolved(args, memory, solved)
  template <class Device>
  void run(Device& device, void* memory) const {
    Workspace workspace(memory);
    const Layout layout = lay_out(workspace);
    device.zero(layout.params.levels, layout.zero_bytes);
    device.launch_together(small_class_kernel<Real>, num_tiles(), layout.params);
    device.unsolved(args_, layout.unsolved, layout.params.solved);
  }

 private:
  using Params = SmallClassParams<Real>;

  struct Layout {
    Params params;
    int64_t zero_bytes;  // from params.levels on
    void* unsolved;
  };

  int64_t num_tiles() const { return Params::tiles_of(args_.lists.num_slots); }

  Layout lay_out(Workspace& workspace) const {
    Layout layout{};
    Params& params = layout.params;
    params.args = args_;
    params.most_items = args_.lists.num_slots / kSmallClassShare;
    params.stretch = num_tiles() / kSmallClassStretches + 1;
    params.levels = workspace.take<LevelTable>(1);
    params.state = workspace.take<SmallClassState>(1);
    params.solved = workspace.take<uint32_t>(1);
    layout.zero_bytes = workspace.bytes();
    for (auto& order : params.orders) {
      order.keys = workspace.take<typename Params::Key>(params.most_items);
      order.slots = workspace.take<uint32_t>(params.most_items);
    }
    const int64_t count_tiles = Params::tiles_of(params.most_items + 1);
    params.words = workspace.take<uint32_t>(TeamSort::workspace_words(count_tiles));
    params.counts = workspace.take<uint32_t>(count_tiles * kScanTile);
    params.totals = workspace.take<uint32_t>(count_tiles);
    params.shares = workspace.take<ListPartial>(params.num_stretches() + count_tiles);
    params.records = workspace.take<BatchTotals>(args_.num_margins);
    layout.unsolved = workspace.take<char>(unsolved_list_bytes(args_));
    return layout;
  }

  const PairwiseArgs& args_;
};

// Calls `body` with the plan for a call.
template <typename Body>
void with_small_class_plan(const PairwiseArgs& args, Body&& body) {
  if (args.score_type == ScoreType::kDouble) {
    body(SmallClassPlan<double>(args));
  } else {
    body(SmallClassPlan<float>(args));
  }
}

}  // namespace fused_rankloss
