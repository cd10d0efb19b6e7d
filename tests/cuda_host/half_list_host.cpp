// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward with the kernels of one list of 16-bit scores, whatever its length.
#include "common/pairwise_op.h"
#include "cuda/half_list_plan.cuh"
#include "host_schemas.h"
#include "one_list_device.h"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
int64_t most_blocks = 2;  // that run side by side

void solve(const Tensor& /*scores*/, const PairwiseCall& call) {
  check(call.args.counts && is_half(call.args.score_type) && call.args.lists.num_lists == 1,
        "expected counts of one list of 16-bit scores");
  for (const auto* result : {&call.loss, &call.raw_grad, &call.list_scale, &call.margin_slope}) {
    leave_traces(**result);
  }
  const HalfListPlan plan(call.args);
  std::vector<std::byte> workspace = workspace_of(plan.workspace_bytes());
  OneListDevice device(seed, most_blocks);
  plan.run(device, workspace.data());
}

void set_seed(int64_t value) { seed = value; }
void set_blocks(int64_t value) { most_blocks = value; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_half_list_host, m) {
  m.def(fused_rankloss::host::kPairwiseForward);
  m.def("set_seed(int seed) -> ()");
  m.def("set_blocks(int blocks) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_half_list_host, CompositeExplicitAutograd, m) {
  m.impl("pairwise_forward",
         fused_rankloss::boxed<&fused_rankloss::pairwise_forward<fused_rankloss::host::solve>>());
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_blocks", TORCH_BOX(&fused_rankloss::host::set_blocks));
}
