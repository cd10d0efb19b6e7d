// SPDX-License-Identifier: BSD-3-Clause
//
// The ops triplet_forward and triplet_backward on CUDA: check, guard, launch.
#include "bind/triplet.h"
#include "cuda/launch/launch.h"
#include "cuda/triplet/explicit.cuh"

namespace fused_rankloss::cuda::triplet {
namespace {

void solve_forward(const TripletCall& call) {
  DeviceQueue queue(*call.loss, call.op);
  run_triplet(queue, call.args);
}

void solve_backward(const TripletBackwardCall& call) {
  DeviceQueue queue(*call.grad_anchor, call.op);
  run_triplet_backward(queue, call.args);
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("triplet_forward", boxed<&Op<TripletCall, solve_forward>::run>());
  m.impl("triplet_backward", boxed<&Op<TripletBackwardCall, solve_backward>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cuda::triplet
