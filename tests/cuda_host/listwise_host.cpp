// SPDX-License-Identifier: BSD-3-Clause
//
// The op listwise_forward with the kernels of csrc/cuda, at a crossover from short to long lists of
// the test's choice.
#include "common/listwise_op.h"
#include "cuda/listwise_dispatch.h"
#include "cuda/listwise_long_plan.cuh"
#include "cuda/listwise_short.cuh"
#include "host_memory.h"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
int64_t crossover = kBlockListItems;
int64_t most_blocks = 2;    // of long lists, that run side by side
std::uint64_t atomics = 0;  // of the last launch for short lists
std::uint64_t blocks = 0;

template <ListwiseLoss kLoss, typename Real>
void run(const ListwiseArgs& args) {
  const ShortListwisePlan short_plan(args, crossover);
  std::vector<std::byte> short_workspace = workspace_of(short_plan.workspace_bytes());
  const ShortListwiseParams params = short_plan.params(short_workspace.data());
  if (params.finished_blocks != nullptr) *params.finished_blocks = 0;
  cuda_host::launch({.grid = {static_cast<unsigned>(short_plan.num_blocks())},
                     .block = {ShortListwisePlan::kThreads},
                     .seed = seed},
                    short_listwise_kernel<kLoss, Real>, params);
  atomics = cuda_host::Machine::get().atomics;
  blocks = params.finished_blocks != nullptr ? short_plan.num_blocks() : 0;
  if (!may_have_longer_lists(args.lists, crossover)) return;
  const LongListwisePlan plan(args, crossover);
  std::vector<std::byte> workspace = workspace_of(plan.workspace_bytes());
  cuda_host::launch({.grid = {static_cast<unsigned>(std::min(plan.most_blocks(), most_blocks))},
                     .block = {kScanThreads},
                     .seed = seed,
                     .together = true},
                    long_listwise_kernel<kLoss, Real>,
                    plan.params(workspace.data(), params.partials));
}

void solve(const Tensor& /*scores*/, const ListwiseCall& call) {
  leave_traces(call.results->raw_grad);
  dispatch_listwise(call.args,
                    [&]<ListwiseLoss kLoss, typename Real>() { run<kLoss, Real>(call.args); });
}

void set_seed(int64_t value) { seed = value; }
void set_crossover(int64_t value) { crossover = value; }
void set_blocks(int64_t value) { most_blocks = value; }
std::tuple<int64_t, int64_t> last_launch() { return {atomics, blocks}; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_listwise_host, m) {
  m.def(
      "listwise_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? gains, "
      "Tensor? mask, Tensor? lengths, Tensor? offsets, Tensor? position_weights, str loss, "
      "str positions, float temperature, str gain, str reduction, bool needs_grad) "
      "-> (Tensor loss, Tensor raw_grad, Tensor list_scale)");
  m.def("set_seed(int seed) -> ()");
  m.def("set_crossover(int slots) -> ()");
  m.def("set_blocks(int blocks) -> ()");
  m.def("last_launch() -> (int atomics, int blocks)");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_listwise_host, CompositeExplicitAutograd, m) {
  m.impl("listwise_forward",
         fused_rankloss::boxed<&fused_rankloss::listwise_forward<fused_rankloss::host::solve>>());
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_crossover", TORCH_BOX(&fused_rankloss::host::set_crossover));
  m.impl("set_blocks", TORCH_BOX(&fused_rankloss::host::set_blocks));
  m.impl("last_launch", TORCH_BOX(&fused_rankloss::host::last_launch));
}
