// SPDX-License-Identifier: BSD-3-Clause
//
// The ops of csrc/cuda/triplet.cu and batch_triplet.cu, with their kernels run by the host harness.
// They take CPU tensors and have the schemas of csrc/ops.cpp.
#include <algorithm>
#include <numeric>

#include "common/triplet_op.h"
#include "cuda/batch_triplet.cuh"
#include "cuda/hopper_search.cuh"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
BatchTripletPolicy policy;
int64_t scans = 0;    // choices that the last search could not settle
int64_t hoppers = 0;  // searches by the kernel for Hopper

// The DeviceQueue of the harness: memory is filled with bytes of NaN, in allocations of the exact
// size.
class HostQueue {
 public:
  template <typename T>
  T* allocate(int64_t count) {
    memory_.emplace_back(count * sizeof(T), std::byte{0xff});
    return reinterpret_cast<T*>(memory_.back().data());
  }

  template <typename T>
  void zero(T* values, int64_t count) {
    std::fill_n(reinterpret_cast<std::byte*>(values), count * sizeof(T), std::byte{0});
  }

  template <typename... Parameters, typename... Arguments>
  void launch(int64_t blocks, int threads, void (*kernel)(Parameters...),
              const Arguments&... arguments) {
    launch_clusters(blocks, 1, threads, 0, kernel, arguments...);
    (note_scans(arguments), ...);
  }

  template <typename... Parameters, typename... Arguments>
  void launch_clusters(int64_t clusters, int blocks_each, int threads, int64_t bytes,
                       void (*kernel)(Parameters...), const Arguments&... arguments) {
    if (clusters == 0) return;
    cuda_host::launch({.grid = {static_cast<unsigned>(clusters * blocks_each)},
                       .block = {static_cast<unsigned>(threads)},
                       .dynamic_bytes = static_cast<std::size_t>(bytes),
                       .seed = seed++,
                       .cluster = static_cast<unsigned>(blocks_each)},
                      kernel, arguments...);
  }

  void sort(KeyedValues from, KeyedValues to, int64_t count, int bits) {
    const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    std::vector<int64_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return (from.keys[a] & mask) < (from.keys[b] & mask);
    });
    for (int64_t t = 0; t < count; ++t) {
      to.keys[t] = from.keys[order[t]];
      to.values[t] = from.values[order[t]];
    }
  }

 private:
  template <typename Argument>
  static void note_scans(const Argument& argument) {
    if constexpr (std::is_same_v<Argument, ChoiceParams>) scans = *argument.num_scans;
  }

  std::vector<std::vector<std::byte>> memory_;
};

void launch_hopper_search(HostQueue& queue, const SearchParams& search) {
  ++hoppers;
  run_hopper_search(queue, search, [](const Halves8* cells, int64_t rows, int64_t row_halves) {
    return TensorMap{cells, rows, row_halves};
  });
}

std::tuple<Tensor, Tensor, Tensor> triplet_forward(
    const Tensor& anchor, const Tensor& positive, const Tensor& negative,
    const OptionalTensor& margin_tensor, double margin, bool soft, const std::string& distance,
    double p, double eps, bool swap, double boundary_grad, const std::string& reduction) {
  const TripletCall call(anchor, positive, negative, margin_tensor, margin, soft, distance, p, eps,
                         swap, boundary_grad, reduction);
  HostQueue queue;
  launch_triplet_rows(queue, call.args);
  return call.results();
}

std::tuple<Tensor, Tensor, Tensor> triplet_backward(const Tensor& grad_loss, const Tensor& anchor,
                                                    const Tensor& positive, const Tensor& negative,
                                                    const Tensor& distances, const Tensor& slope,
                                                    const std::string& distance, double p,
                                                    double eps, bool swap) {
  const TripletBackwardCall call(grad_loss, anchor, positive, negative, distances, slope, distance,
                                 p, eps, swap);
  HostQueue queue;
  launch_triplet_rows_backward(queue, call.args);
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
  HostQueue queue;
  launch_batch_triplet(queue, call.args, policy);
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
  HostQueue queue;
  launch_batch_triplet_backward(queue, call.args, policy);
  return call.results();
}

void set_seed(int64_t value) { seed = static_cast<std::uint64_t>(value) << 32; }
void set_policy(int64_t half_band_rows, int64_t hopper_rows, int64_t chunk) {
  policy = {half_band_rows, hopper_rows, static_cast<int32_t>(chunk)};
}
int64_t last_scans() { return scans; }
int64_t hopper_searches() { return hoppers; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_triplet_host, m) {
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
  m.def("set_policy(int half_band_rows, int hopper_rows, int chunk) -> ()");
  m.def("last_scans() -> int");
  m.def("hopper_searches() -> int");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_triplet_host, CompositeExplicitAutograd, m) {
  m.impl("triplet_forward", fused_rankloss::boxed<&fused_rankloss::host::triplet_forward>());
  m.impl("triplet_backward", fused_rankloss::boxed<&fused_rankloss::host::triplet_backward>());
  m.impl("batch_triplet_forward",
         fused_rankloss::boxed<&fused_rankloss::host::batch_triplet_forward>());
  m.impl("batch_triplet_backward",
         fused_rankloss::boxed<&fused_rankloss::host::batch_triplet_backward>());
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_policy", TORCH_BOX(&fused_rankloss::host::set_policy));
  m.impl("last_scans", TORCH_BOX(&fused_rankloss::host::last_scans));
  m.impl("hopper_searches", TORCH_BOX(&fused_rankloss::host::hopper_searches));
}
