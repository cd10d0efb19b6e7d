// SPDX-License-Identifier: BSD-3-Clause
//
// The op listwise_forward on CUDA.
#include "common/listwise_op.h"
#include "cuda/launch.h"
#include "cuda/listwise.cuh"

namespace fused_rankloss {
namespace {

void solve(const Tensor& scores, const ListwiseCall& call) {
  DeviceQueue queue(scores, call.op);
  run_listwise(queue, call.args);
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("listwise_forward",
         fused_rankloss::boxed<&fused_rankloss::listwise_forward<fused_rankloss::solve>>());
}
