// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward on CUDA, and the tile kernel.
#include "bind/pairwise.h"
#include "cuda/launch/launch.h"
#include "cuda/pairwise/dispatch.cuh"

namespace fused_rankloss::cuda::pairwise {
namespace {

void solve(const Tensor& scores, const PairwiseCall& call) {
  DeviceQueue queue(scores, call.op);
  run_pairwise(queue, call.args, call.loss_name);
}

}  // namespace
}  // namespace fused_rankloss::cuda::pairwise

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("pairwise_forward",
         fused_rankloss::boxed<
             &fused_rankloss::pairwise_forward<fused_rankloss::cuda::pairwise::solve>>());
}
