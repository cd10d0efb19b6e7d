// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward on CUDA: check, guard, dispatch, launch.
#include "common/pairwise_op.h"
#include "cuda/launch.h"
#include "cuda/long_lists.h"
#include "cuda/pairwise.cuh"
#include "cuda/short_lists.h"

namespace fused_rankloss {
namespace {

// Batches of short lists: their own kernel, and after it that of long lists for whatever is longer.
void run_short_lists(const Tensor& scores, const PairwiseCall& call, const LaunchScope& scope) {
  const PairwiseArgs& args = call.args;
  const int64_t crossover = longest_short_list(args.counts);
  if (longest_list(args.lists) <= crossover) {
    const Tensor workspace = new_tensor(scores, {short_lists_bytes(args)}, ScalarType::Byte);
    launch_short_lists(args, call.loss_name, nullptr, workspace.mutable_data_ptr(), scope);
    return;
  }
  const PairwisePlan plan(args, kCountTile, crossover);
  const int64_t long_bytes = long_lists_bytes(args, call.loss_name, scope);
  const Tensor workspace =
      new_tensor(scores, {long_bytes + plan.workspace_bytes()}, ScalarType::Byte);
  char* memory = static_cast<char*>(workspace.mutable_data_ptr());
  ListPartials partials = plan.params(memory + long_bytes).partials;
  partials.whole_lists = true;
  launch_short_lists(args, call.loss_name, &partials, nullptr, scope);
  launch_long_lists(args, call.loss_name, partials, memory, scope);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> pairwise_forward(
    const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
    const OptionalTensor& mask, const OptionalTensor& lengths, const OptionalTensor& offsets,
    const OptionalTensor& margins, double margin, const std::string& loss,
    const std::string& weighting, double boundary_grad, const std::string& reduction,
    bool needs_grad) {
  const PairwiseCall call(scores, labels, weights, mask, lengths, offsets, margins, margin, loss,
                          weighting, boundary_grad, reduction, needs_grad);
  const LaunchScope scope(scores, call.op);
  if (are_short_lists(call.args)) {
    run_short_lists(scores, call, scope);
    return call.results();
  }
  dispatch_term(call.args, call.loss_name, scope.slow_double(), [&]<class Term>() {
    const PairwisePlan plan(call.args, Term::kTile);
    const unsigned grid = scope.grid(plan.num_blocks());
    const bool any_long = plan.may_have_long_lists();
    const int64_t tile_bytes = plan.workspace_bytes();
    const int64_t long_bytes = any_long ? long_lists_bytes(call.args, call.loss_name, scope) : 0;
    const Tensor workspace = new_tensor(scores, {long_bytes + tile_bytes}, ScalarType::Byte);
    char* memory = static_cast<char*>(workspace.mutable_data_ptr());
    const PairwiseParams params = plan.params(memory + long_bytes);
    if (plan.may_have_other_lists()) {
      check_cuda(cudaMemsetAsync(params.finished_blocks, 0, sizeof(uint32_t), scope.stream()),
                 call.op);
      pairwise_kernel<Term><<<grid, Term::kTile.threads(), 0, scope.stream()>>>(params);
      scope.check_launch();
    }
    if (any_long) {
      launch_long_lists(call.args, call.loss_name, params.partials, memory, scope);
    }
  });
  return call.results();
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("pairwise_forward", TORCH_BOX(&fused_rankloss::pairwise_forward));
}
