// SPDX-License-Identifier: BSD-3-Clause
//
// The ops batch_triplet_forward and batch_triplet_backward on CUDA: check, guard, launch.
#include "bind/triplet.h"
#include "cuda/launch/launch.h"
#include "cuda/triplet/batch.cuh"

namespace fused_rankloss::cuda::triplet {
namespace {

// Kernels count rows and mined pairs in 32 bits.
void check_sizes(const TripletBatch& batch, const std::string& op) {
  constexpr int64_t kMostRows = int64_t{1} << 29;
  check(batch.num_anchors <= kMostRows && batch.num_refs <= kMostRows, op, ": expected at most ",
        kMostRows, " embeddings and references, got ", batch.num_anchors, " and ", batch.num_refs);
}

void solve_forward(const BatchTripletCall& call) {
  check_sizes(call.args.batch, call.op);
  DeviceQueue queue(*call.loss, call.op);
  run_batch_triplet(queue, call.args);
}

void solve_backward(const BatchTripletBackwardCall& call) {
  check_sizes(call.args.batch, call.op);
  DeviceQueue queue(*call.grad_embeddings, call.op);
  run_batch_triplet_backward(queue, call.args);
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("batch_triplet_forward", boxed<&Op<BatchTripletCall, solve_forward>::run>());
  m.impl("batch_triplet_backward", boxed<&Op<BatchTripletBackwardCall, solve_backward>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cuda::triplet
