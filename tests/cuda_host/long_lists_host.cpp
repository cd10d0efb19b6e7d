// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward with the kernels of long lists, and the tile kernel for others, at a
// crossover of the test's choice.
#include "common/pairwise_op.h"
#include "cuda/long_lists_plan.cuh"
#include "cuda/pairwise.cuh"
#include "host_device.h"
#include "host_schemas.h"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
int64_t crossover = 0;
int64_t most_blocks = 2;  // that run side by side
int64_t one_launch = 0;   // up to so many slots

void solve(const Tensor& /*scores*/, const PairwiseCall& call) {
  dispatch_term(call.args, call.loss_name, /*slow_double=*/false, [&]<class Term>() {
    const PairwisePlan plan(call.args, Term::kTile, crossover);
    std::vector<std::byte> tile_workspace = workspace_of(plan.workspace_bytes());
    const PairwiseParams params = plan.params(tile_workspace.data());
    if (plan.may_have_other_lists()) {
      *params.finished_blocks = 0;
      cuda_host::launch({.grid = {static_cast<unsigned>(plan.num_blocks())},
                         .block = {static_cast<unsigned>(Term::kTile.threads())},
                         .seed = seed},
                        pairwise_kernel<Term>, params);
    }
    if (!plan.may_have_long_lists()) return;
    dispatch_long_term(call.args, call.loss_name, [&]<class LongTerm>() {
      const LongListsPlan<LongTerm> long_plan(call.args, /*sort_bytes=*/0, one_launch);
      std::vector<std::byte> workspace = workspace_of(long_plan.workspace_bytes());
      HostDevice device(seed, most_blocks);
      long_plan.run(device, workspace.data(), params.partials);
    });
  });
}

void set_seed(int64_t value) { seed = value; }
void set_crossover(int64_t value) { crossover = value; }
void set_blocks(int64_t value) { most_blocks = value; }
void set_one_launch(int64_t value) { one_launch = value; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_long_lists_host, m) {
  m.def(fused_rankloss::host::kPairwiseForward);
  m.def("set_seed(int seed) -> ()");
  m.def("set_crossover(int slots) -> ()");
  m.def("set_blocks(int blocks) -> ()");
  m.def("set_one_launch(int slots) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_long_lists_host, CompositeExplicitAutograd, m) {
  m.impl("pairwise_forward",
         fused_rankloss::boxed<&fused_rankloss::pairwise_forward<fused_rankloss::host::solve>>());
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_crossover", TORCH_BOX(&fused_rankloss::host::set_crossover));
  m.impl("set_blocks", TORCH_BOX(&fused_rankloss::host::set_blocks));
  m.impl("set_one_launch", TORCH_BOX(&fused_rankloss::host::set_one_launch));
}
