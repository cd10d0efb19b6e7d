// SPDX-License-Identifier: BSD-3-Clause
//
// The ops triplet_forward and triplet_backward on CUDA: check, guard, launch.
#include "bind/triplet.h"
#include "cuda/launch/launch.h"
#include "cuda/triplet/explicit.cuh"

namespace fused_rankloss::cuda::triplet {
namespace {

std::tuple<Tensor, Tensor, Tensor> triplet_forward(
    const Tensor& anchor, const Tensor& positive, const Tensor& negative,
    const OptionalTensor& margin_tensor, double margin, bool soft, const std::string& distance,
    double p, double eps, bool swap, double boundary_grad, const std::string& reduction) {
  const TripletCall call(anchor, positive, negative, margin_tensor, margin, soft, distance, p, eps,
                         swap, boundary_grad, reduction);
  DeviceQueue queue(anchor, call.op);
  run_triplet(queue, call.args);
  return call.results();
}

std::tuple<Tensor, Tensor, Tensor> triplet_backward(const Tensor& grad_loss, const Tensor& anchor,
                                                    const Tensor& positive, const Tensor& negative,
                                                    const Tensor& distances, const Tensor& slope,
                                                    const std::string& distance, double p,
                                                    double eps, bool swap) {
  const TripletBackwardCall call(grad_loss, anchor, positive, negative, distances, slope, distance,
                                 p, eps, swap);
  DeviceQueue queue(anchor, call.op);
  run_triplet_backward(queue, call.args);
  return call.results();
}

}  // namespace
}  // namespace fused_rankloss::cuda::triplet

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("triplet_forward",
         fused_rankloss::boxed<&fused_rankloss::cuda::triplet::triplet_forward>());
  m.impl("triplet_backward",
         fused_rankloss::boxed<&fused_rankloss::cuda::triplet::triplet_backward>());
}
