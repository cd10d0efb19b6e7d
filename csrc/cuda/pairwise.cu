// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward on CUDA: check, guard, dispatch, launch.
#include "common/pairwise_op.h"
#include "cuda/launch.h"
#include "cuda/pairwise.cuh"

namespace fused_rankloss {
namespace {

std::tuple<Tensor, Tensor, Tensor, Tensor> pairwise_forward(
    const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
    const OptionalTensor& mask, const OptionalTensor& lengths, const OptionalTensor& offsets,
    const OptionalTensor& margins, double margin, const std::string& loss,
    const std::string& weighting, double boundary_grad, const std::string& reduction,
    bool needs_grad) {
  const PairwiseCall call(scores, labels, weights, mask, lengths, offsets, margins, margin, loss,
                          weighting, boundary_grad, reduction, needs_grad);
  const LaunchScope scope(scores, call.op);
  dispatch_term(call.args, call.loss_name, [&]<class Term>() {
    const PairwisePlan plan(call.args, Term::kTile);
    const unsigned grid = scope.grid(plan.num_blocks());
    const Tensor workspace = new_tensor(scores, {plan.workspace_bytes()}, ScalarType::Byte);
    const PairwiseParams params = plan.params(workspace.mutable_data_ptr());
    check_cuda(cudaMemsetAsync(params.finished_blocks, 0, sizeof(uint32_t), scope.stream()),
               call.op);
    pairwise_kernel<Term><<<grid, Term::kTile.threads(), 0, scope.stream()>>>(params);
    scope.check_launch();
  });
  return call.results();
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("pairwise_forward", TORCH_BOX(&fused_rankloss::pairwise_forward));
}
