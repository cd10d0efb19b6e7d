// SPDX-License-Identifier: BSD-3-Clause
//
// The op lists_backward on CUDA: check, guard, dispatch, launch.
#include "common/lists_backward_op.h"
#include "cuda/launch.h"
#include "cuda/lists_backward.cuh"

namespace fused_rankloss {
namespace {

Tensor lists_backward(const Tensor& grad_loss, const Tensor& raw_grad, const Tensor& list_scale,
                      const OptionalTensor& mask, const OptionalTensor& lengths,
                      const OptionalTensor& offsets, ScalarType dtype) {
  const ListsBackwardCall call(grad_loss, raw_grad, list_scale, mask, lengths, offsets, dtype);
  const LaunchScope scope(raw_grad, call.kOp);
  const int64_t num_slots = call.args.lists.num_slots;
  if (num_slots > 0) {
    const unsigned grid = scope.grid((num_slots + kBackwardThreads - 1) / kBackwardThreads);
    dispatch_scores(dtype, call.kOp, [&](auto stored) {
      lists_backward_kernel<decltype(stored)>
          <<<grid, kBackwardThreads, 0, scope.stream()>>>(call.args);
    });
    scope.check_launch();
  }
  return *call.grad_scores;
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("lists_backward", fused_rankloss::boxed<&fused_rankloss::lists_backward>());
}
