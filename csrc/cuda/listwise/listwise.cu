// SPDX-License-Identifier: BSD-3-Clause
//
// The op listwise_forward on CUDA.
#include "bind/listwise.h"
#include "cuda/launch/launch.h"
#include "cuda/listwise/dispatch.cuh"

namespace fused_rankloss::cuda::listwise {
namespace {

void solve(const ListwiseCall& call) {
  DeviceQueue queue(call.outputs->loss, call.op);
  run_listwise(queue, call.args);
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("listwise_forward", boxed<&Op<ListwiseCall, solve>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cuda::listwise
