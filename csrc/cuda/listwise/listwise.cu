// SPDX-License-Identifier: BSD-3-Clause
//
// The op listwise_forward on CUDA.
#include "bind/listwise.h"
#include "cuda/launch/launch.h"
#include "cuda/listwise/dispatch.cuh"

namespace fused_rankloss::cuda::listwise {
namespace {

void solve(const Tensor& scores, const ListwiseCall& call) {
  DeviceQueue queue(scores, call.op);
  run_listwise(queue, call.args);
}

}  // namespace
}  // namespace fused_rankloss::cuda::listwise

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("listwise_forward",
         fused_rankloss::boxed<
             &fused_rankloss::listwise_forward<fused_rankloss::cuda::listwise::solve>>());
}
