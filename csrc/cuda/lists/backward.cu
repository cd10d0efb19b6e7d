// SPDX-License-Identifier: BSD-3-Clause
//
// The op lists_backward on CUDA.
#include "bind/lists_backward.h"
#include "cuda/launch/launch.h"
#include "cuda/lists/backward.cuh"

namespace fused_rankloss::cuda {
namespace {

void solve(const ListsBackwardCall& call) {
  DeviceQueue queue(*call.grad_scores, call.kOp);
  dispatch_scores(call.grad_scores->scalar_type(), call.kOp,
                  [&](auto stored) { run_lists_backward<decltype(stored)>(queue, call.args); });
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("lists_backward", boxed<&Op<ListsBackwardCall, solve>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cuda
