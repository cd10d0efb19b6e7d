// SPDX-License-Identifier: BSD-3-Clause
//
// The ops of csrc/cuda/triplet/explicit.cu and triplet/batch.cu, with their kernels run by the host
// harness. They take CPU tensors and have the schemas of csrc/ops.cpp.
#include <cmath>

#include "bind/triplet.h"

namespace fused_rankloss {

// CUDA's is up to two units in the last place off, for powers of 1, too.
inline double pow(double x, double power) {
  const double value = std::pow(x, power);
  return value == 0 || std::isinf(value) ? value : std::nextafter(value, 0.0);
}

}  // namespace fused_rankloss

#include "cuda/triplet/batch.cuh"
#include "harness/host_queue.h"

// experimental/hopper_search_host.cpp includes this file for ops of its own.
#ifndef FRL_TRIPLET_HOST_OPS
#define FRL_TRIPLET_HOST_OPS fused_rankloss_triplet_host
#endif
// The name, not the macro.
#define FRL_OPS(library, m) STABLE_TORCH_LIBRARY(library, m)
#define FRL_OPS_IMPL(library, key, m) STABLE_TORCH_LIBRARY_IMPL(library, key, m)

namespace fused_rankloss::host {

using namespace cuda;
using namespace cuda::triplet;

namespace {

std::uint64_t seed = 0;
BatchTripletPolicy policy;
int64_t scans = 0;  // choices that the last search could not settle

class TripletQueue : public HostQueue {
 public:
  explicit TripletQueue(const std::string& op) : HostQueue(op, {.seed = seed}) {}

  template <typename... Parameters, typename... Arguments>
  void launch(int64_t blocks, int threads, void (*kernel)(Parameters...),
              const Arguments&... arguments) {
    HostQueue::launch(blocks, threads, kernel, arguments...);
    (note_scans(arguments), ...);
  }

 private:
  template <typename Argument>
  static void note_scans(const Argument& argument) {
    if constexpr (std::is_same_v<Argument, ChoiceParams>) scans = *argument.num_scans;
  }
};

std::tuple<Tensor, Tensor, Tensor> triplet_forward(
    const Tensor& anchor, const Tensor& positive, const Tensor& negative,
    const OptionalTensor& margin_tensor, double margin, bool soft, const std::string& distance,
    double p, double eps, bool swap, double boundary_grad, const std::string& reduction) {
  const TripletCall call(anchor, positive, negative, margin_tensor, margin, soft, distance, p, eps,
                         swap, boundary_grad, reduction);
  TripletQueue queue(call.op);
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
  TripletQueue queue(call.op);
  run_triplet_backward(queue, call.args);
  return call.results();
}

BatchTripletCall::Results batch_triplet_forward(
    const Tensor& embeddings, const Tensor& labels, const OptionalTensor& ref_embeddings,
    const OptionalTensor& ref_labels, const OptionalTensor& margin_tensor, double margin, bool soft,
    const std::string& mining, const std::string& distance, double boundary_grad,
    const std::string& reduction, bool needs_grad, bool needs_mined) {
  const BatchTripletCall call(embeddings, labels, ref_embeddings, ref_labels, margin_tensor, margin,
                              soft, mining, distance, boundary_grad, reduction, needs_grad,
                              needs_mined);
  TripletQueue queue(call.op);
  run_batch_triplet(queue, call.args, policy);
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
  TripletQueue queue(call.op);
  run_batch_triplet_backward(queue, call.args, policy);
  return call.results();
}

void set_seed(int64_t value) { seed = static_cast<std::uint64_t>(value) << 32; }
void set_policy(int64_t half_band_rows, int64_t chunk) {
  policy = {half_band_rows, static_cast<int32_t>(chunk)};
}
int64_t last_scans() { return scans; }

}  // namespace
}  // namespace fused_rankloss::host

FRL_OPS(FRL_TRIPLET_HOST_OPS, m) {
  m.def(
      "triplet_forward(Tensor anchor, Tensor positive, Tensor negative, Tensor? margin_tensor, "
      "float margin, bool soft, str distance, float p, float eps, bool swap, float boundary_grad, "
      "str reduction) -> (Tensor loss, Tensor distances, Tensor slope)");
  m.def(
      "triplet_backward(Tensor grad_loss, Tensor anchor, Tensor positive, Tensor negative, "
      "Tensor distances, Tensor slope, str distance, float p, float eps, bool swap) "
      "-> (Tensor, Tensor, Tensor)");
  m.def(
      "batch_triplet_forward(Tensor embeddings, Tensor labels, Tensor? ref_embeddings, "
      "Tensor? ref_labels, Tensor? margin_tensor, float margin, bool soft, str mining, "
      "str distance, float boundary_grad, str reduction, bool needs_grad, bool needs_mined) "
      "-> (Tensor loss, Tensor positive, Tensor negative, Tensor distances, Tensor slope, "
      "Tensor anchor_scale, Tensor grad, Tensor grad_ref)");
  m.def(
      "batch_triplet_backward(Tensor grad_loss, Tensor embeddings, Tensor labels, "
      "Tensor? ref_embeddings, Tensor? ref_labels, Tensor? margin_tensor, float margin, bool soft, "
      "str mining, str distance, float boundary_grad, Tensor positive, Tensor negative, "
      "Tensor distances, Tensor slope, Tensor anchor_scale) -> (Tensor, Tensor)");
  m.def("set_seed(int seed) -> ()");
  m.def("set_policy(int half_band_rows, int chunk) -> ()");
  m.def("last_scans() -> int");
}

FRL_OPS_IMPL(FRL_TRIPLET_HOST_OPS, CompositeExplicitAutograd, m) {
  m.impl("triplet_forward", fused_rankloss::boxed<&fused_rankloss::host::triplet_forward>());
  m.impl("triplet_backward", fused_rankloss::boxed<&fused_rankloss::host::triplet_backward>());
  m.impl("batch_triplet_forward",
         fused_rankloss::boxed<&fused_rankloss::host::batch_triplet_forward>());
  m.impl("batch_triplet_backward",
         fused_rankloss::boxed<&fused_rankloss::host::batch_triplet_backward>());
  m.impl("set_seed", fused_rankloss::boxed<&fused_rankloss::host::set_seed>());
  m.impl("set_policy", fused_rankloss::boxed<&fused_rankloss::host::set_policy>());
  m.impl("last_scans", fused_rankloss::boxed<&fused_rankloss::host::last_scans>());
}
