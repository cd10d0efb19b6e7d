// SPDX-License-Identifier: BSD-3-Clause
//
// The ops of csrc/cuda/pairwise.cu, with the tile kernel for all lists, and lists_backward.cu, with
// their kernels run by the host harness. They take CPU tensors and have the schemas of
// csrc/ops.cpp, so that a test can put them in the place of the real ops.
#include "common/lists_backward_op.h"
#include "common/pairwise_op.h"
#include "cuda/lists_backward.cuh"
#include "cuda/pairwise.cuh"
#include "host_memory.h"
#include "host_schemas.h"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
bool slow_double = false;
std::uint64_t atomics = 0;  // of the last launch
std::uint64_t blocks = 0;

template <typename... Parameters, typename... Arguments>
void launch(int64_t grid, int threads, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
  blocks = grid;
  cuda_host::launch({.grid = {static_cast<unsigned>(grid)},
                     .block = {static_cast<unsigned>(threads)},
                     .seed = seed},
                    kernel, arguments...);
  atomics = cuda_host::Machine::get().atomics;
}

void solve(const Tensor& /*scores*/, const PairwiseCall& call) {
  dispatch_term(call.args, call.loss_name, slow_double, [&]<class Term>() {
    const PairwisePlan plan(call.args, Term::kTile, kNoLongLists);
    std::vector<std::byte> workspace = workspace_of(plan.workspace_bytes());
    const PairwiseParams params = plan.params(workspace.data());
    *params.finished_blocks = 0;
    launch(plan.num_blocks(), Term::kTile.threads(), pairwise_kernel<Term>, params);
  });
}

Tensor lists_backward(const Tensor& grad_loss, const Tensor& raw_grad, const Tensor& list_scale,
                      const OptionalTensor& mask, const OptionalTensor& lengths,
                      const OptionalTensor& offsets, ScalarType dtype) {
  const ListsBackwardCall call(grad_loss, raw_grad, list_scale, mask, lengths, offsets, dtype);
  const int64_t grid = (call.args.lists.num_slots + kBackwardThreads - 1) / kBackwardThreads;
  dispatch_scores(dtype, call.kOp, [&](auto stored) {
    launch(grid, kBackwardThreads, lists_backward_kernel<decltype(stored)>, call.args);
  });
  return *call.grad_scores;
}

void set_seed(int64_t value) { seed = value; }
void set_slow_double(bool value) { slow_double = value; }
std::tuple<int64_t, int64_t> last_launch() { return {atomics, blocks}; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_host, m) {
  m.def(fused_rankloss::host::kPairwiseForward);
  m.def(
      "lists_backward(Tensor grad_loss, Tensor raw_grad, Tensor list_scale, Tensor? mask, "
      "Tensor? lengths, Tensor? offsets, ScalarType dtype) -> Tensor");
  m.def("set_seed(int seed) -> ()");
  m.def("set_slow_double(bool slow) -> ()");
  m.def("last_launch() -> (int atomics, int blocks)");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_host, CompositeExplicitAutograd, m) {
  m.impl("pairwise_forward",
         fused_rankloss::boxed<&fused_rankloss::pairwise_forward<fused_rankloss::host::solve>>());
  m.impl("lists_backward", fused_rankloss::boxed<&fused_rankloss::host::lists_backward>());
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_slow_double", TORCH_BOX(&fused_rankloss::host::set_slow_double));
  m.impl("last_launch", TORCH_BOX(&fused_rankloss::host::last_launch));
}
