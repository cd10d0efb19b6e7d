// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward with the kernels of one list that may have a small class, whatever its
// length.
#include "common/pairwise_op.h"
#include "cuda/small_class_plan.cuh"
#include "host_schemas.h"
#include "one_list_device.h"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
int64_t most_blocks = 2;  // that run side by side
bool small = false;       // whether the last call's small class was sorted alone

// Notes what comes after the kernel of a small class.
class NotingDevice : public OneListDevice {
 public:
  using OneListDevice::OneListDevice;

  void unsolved(const PairwiseArgs& args, void* memory, const uint32_t* solved) {
    small = *solved != 0;
    OneListDevice::unsolved(args, memory, solved);
  }
};

void solve(const Tensor& /*scores*/, const PairwiseCall& call) {
  check(call.args.counts && call.args.lists.num_lists == 1, "expected counts of one list");
  for (const auto* result : {&call.loss, &call.raw_grad, &call.list_scale, &call.margin_slope}) {
    leave_traces(**result);
  }
  with_small_class_plan(call.args, [&](const auto& plan) {
    std::vector<std::byte> workspace = workspace_of(plan.workspace_bytes());
    NotingDevice device(seed, most_blocks);
    plan.run(device, workspace.data());
  });
}

void set_seed(int64_t value) { seed = value; }
void set_blocks(int64_t value) { most_blocks = value; }
bool was_small() { return small; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_small_class_host, m) {
  m.def(fused_rankloss::host::kPairwiseForward);
  m.def("set_seed(int seed) -> ()");
  m.def("set_blocks(int blocks) -> ()");
  m.def("was_small() -> bool");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_small_class_host, CompositeExplicitAutograd, m) {
  m.impl("pairwise_forward",
         fused_rankloss::boxed<&fused_rankloss::pairwise_forward<fused_rankloss::host::solve>>());
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_blocks", TORCH_BOX(&fused_rankloss::host::set_blocks));
  m.impl("was_small", TORCH_BOX(&fused_rankloss::host::was_small));
}
