// SPDX-License-Identifier: BSD-3-Clause
//
// What comes after the kernel of one list (half_list.cuh, small_class.cuh), which may have left it
// unsolved: long_lists_kernel, which sorts for itself, and the memory that it needs.
#pragma once

#include "cuda/long_lists_plan.cuh"

namespace fused_rankloss {

template <typename Real>
class UnsolvedListPlan {
 public:
  explicit UnsolvedListPlan(const PairwiseArgs& args)
      : args_(args), plan_(args, /*sort_bytes=*/0) {}

  int64_t workspace_bytes() const {
    Workspace workspace(nullptr);
    lay_out(workspace);
    return workspace.bytes();
  }

  // On a Device of LongListsPlan::run. Leaves the list alone where *solved is not 0.
  template <class Device>
  void run(Device& device, void* memory, const uint32_t* solved) const {
    Workspace workspace(memory);
    const Layout layout = lay_out(workspace);
    LongListsParams<Real> params =
        plan_.params(layout.sorted, {layout.partials, num_chunks(), 1, /*crossover=*/-1});
    params.solved = solved;
    device.launch_together(long_lists_kernel<LongCounts<Real>>, params.segments.num_tiles(),
                           params);
  }

 private:
  struct Layout {
    ListPartial* partials;
    void* sorted;
  };

  int64_t num_chunks() const { return ListPartials::num_chunks_of(args_.lists); }

  Layout lay_out(Workspace& workspace) const {
    Layout layout{};
    layout.partials = workspace.take<ListPartial>(args_.num_margins * (num_chunks() + 1));
    layout.sorted = workspace.take<char>(plan_.workspace_bytes());
    return layout;
  }

  const PairwiseArgs& args_;
  LongListsPlan<LongCounts<Real>> plan_;
};

// Calls `body` with the plan for a call.
template <typename Body>
void with_unsolved_list(const PairwiseArgs& args, Body&& body) {
  if (args.score_type == ScoreType::kDouble) {
    body(UnsolvedListPlan<double>(args));
  } else {
    body(UnsolvedListPlan<float>(args));
  }
}

inline int64_t unsolved_list_bytes(const PairwiseArgs& args) {
  int64_t bytes = 0;
  with_unsolved_list(args, [&](const auto& plan) { bytes = plan.workspace_bytes(); });
  return bytes;
}

}  // namespace fused_rankloss
