// SPDX-License-Identifier: BSD-3-Clause
//
// The ops batch_triplet_forward and batch_triplet_backward on CUDA: check, guard, launch.
#include "bind/triplet.h"
#include "cuda/launch/launch.h"
#include "cuda/triplet/batch.cuh"

namespace fused_rankloss::cuda::triplet {
namespace {

// Kernels count rows in 32 bits, and mined pairs in as many.
void check_sizes(const TripletBatch& batch, const std::string& op) {
  constexpr int64_t kMostRows = int64_t{1} << 29;
  check(batch.num_anchors <= kMostRows && batch.num_refs <= kMostRows, op, ": expected at most ",
        kMostRows, " embeddings and references, got ", batch.num_anchors, " and ", batch.num_refs);
}

BatchTripletCall::Results batch_triplet_forward(
    const Tensor& embeddings, const Tensor& labels, const OptionalTensor& ref_embeddings,
    const OptionalTensor& ref_labels, const OptionalTensor& margin_tensor, double margin, bool soft,
    const std::string& mining, const std::string& distance, double boundary_grad,
    const std::string& reduction, bool needs_grad, bool needs_mined) {
  const BatchTripletCall call(embeddings, labels, ref_embeddings, ref_labels, margin_tensor, margin,
                              soft, mining, distance, boundary_grad, reduction, needs_grad,
                              needs_mined);
  check(!needs_grad, call.op, ": expected no needs_grad on CUDA");
  check_sizes(call.args.batch, call.op);
  DeviceQueue queue(embeddings, call.op);
  run_batch_triplet(queue, call.args);
  return call.results();
}

std::tuple<Tensor, Tensor> batch_triplet_backward(
    const Tensor& grad_loss, const Tensor& embeddings, const Tensor& labels,
    const OptionalTensor& ref_embeddings, const OptionalTensor& ref_labels,
    const OptionalTensor& margin_tensor, double margin, bool soft, const std::string& mining,
    const std::string& distance, double boundary_grad, const Tensor& positive,
    const Tensor& negative, const Tensor& distances, const Tensor& slope,
    const Tensor& anchor_scale) {
  const BatchTripletBackwardCall call(grad_loss, embeddings, labels, ref_embeddings, ref_labels,
                                      margin_tensor, margin, soft, mining, distance, boundary_grad,
                                      positive, negative, distances, slope, anchor_scale);
  check_sizes(call.args.batch, call.op);
  DeviceQueue queue(embeddings, call.op);
  run_batch_triplet_backward(queue, call.args);
  return call.results();
}

}  // namespace
}  // namespace fused_rankloss::cuda::triplet

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("batch_triplet_forward",
         fused_rankloss::boxed<&fused_rankloss::cuda::triplet::batch_triplet_forward>());
  m.impl("batch_triplet_backward",
         fused_rankloss::boxed<&fused_rankloss::cuda::triplet::batch_triplet_backward>());
}
