// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward on CUDA, and the tile kernel.
#include "bind/pairwise.h"
#include "cuda/launch/launch.h"
#include "cuda/pairwise/dispatch.cuh"

namespace fused_rankloss::cuda::pairwise {
namespace {

void solve(const PairwiseCall& call) {
  DeviceQueue queue(*call.loss, call.op);
  run_pairwise(queue, call.args, call.loss_name);
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("pairwise_forward", boxed<&Op<PairwiseCall, solve>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cuda::pairwise
