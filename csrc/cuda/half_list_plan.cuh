// SPDX-License-Identifier: BSD-3-Clause
//
// The steps of half_list.cuh in their order, and the memory that they need.
#pragma once

#include <algorithm>

#include "cuda/half_list.cuh"
#include "cuda/one_list_plan.cuh"
#include "cuda/workspace.h"

namespace fused_rankloss {

class HalfListPlan {
 public:
  explicit HalfListPlan(const PairwiseArgs& args) : args_(args) {}

  int64_t workspace_bytes() const {
    Workspace workspace(nullptr);
    lay_out(workspace);
    return workspace.bytes();
  }

  // On a Device of SmallClassPlan::run.
  template <class Device>
  void run(Device& device, void* memory) const {
    Workspace workspace(memory);
    const Layout layout = lay_out(workspace);
    device.zero(layout.params.levels, layout.zero_bytes);
    device.launch_together(half_list_kernel, std::max<int64_t>(num_tiles(), kHalfShares),
                           layout.params);
    if (may_have_many_levels()) device.unsolved(args_, layout.unsolved, layout.params.solved);
  }

 private:
  struct Layout {
    HalfListParams params;
    int64_t zero_bytes;  // from params.levels on
    void* unsolved;
  };

  // As far as the host knows.
  bool may_have_many_levels() const { return args_.label_type != LabelType::kBool; }

  int64_t num_tiles() const { return (args_.lists.num_slots + kScanTile - 1) / kScanTile; }

  Layout lay_out(Workspace& workspace) const {
    Layout layout{};
    HalfListParams& params = layout.params;
    params.args = args_;
    params.num_rows = may_have_many_levels() ? kHalfRows : 2;
    const int64_t cells = int64_t{params.num_rows} * kHalfKeys;
    params.levels = workspace.take<LevelTable>(1);
    params.solved = workspace.take<uint32_t>(1);
    params.counts = workspace.take<uint32_t>(cells);
    layout.zero_bytes = workspace.bytes();
    params.totals = workspace.take<uint32_t>(params.num_rows * kHalfTiles);
    for (int half = 0; half < std::min<int64_t>(args_.num_margins, 2); ++half) {
      params.gradients[half] = workspace.take<int64_t>(cells);
    }
    params.shares = workspace.take<ListPartial>(args_.num_margins * kHalfShares);
    params.records = workspace.take<BatchTotals>(args_.num_margins);
    if (may_have_many_levels()) {
      layout.unsolved = workspace.take<char>(unsolved_list_bytes(args_));
    }
    return layout;
  }

  const PairwiseArgs& args_;
};

}  // namespace fused_rankloss
