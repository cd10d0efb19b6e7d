// SPDX-License-Identifier: BSD-3-Clause
//
// The op lists_backward on CUDA.
#include "bind/lists_backward.h"
#include "cuda/launch/launch.h"
#include "cuda/lists/backward.cuh"

namespace fused_rankloss::cuda {
namespace {

Tensor lists_backward(const Tensor& grad_loss, const Tensor& raw_grad, const Tensor& list_scale,
                      const OptionalTensor& mask, const OptionalTensor& lengths,
                      const OptionalTensor& offsets, ScalarType dtype) {
  const ListsBackwardCall call(grad_loss, raw_grad, list_scale, mask, lengths, offsets, dtype);
  DeviceQueue queue(raw_grad, call.kOp);
  dispatch_scores(dtype, call.kOp,
                  [&](auto stored) { run_lists_backward<decltype(stored)>(queue, call.args); });
  return *call.grad_scores;
}

}  // namespace
}  // namespace fused_rankloss::cuda

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("lists_backward", fused_rankloss::boxed<&fused_rankloss::cuda::lists_backward>());
}
