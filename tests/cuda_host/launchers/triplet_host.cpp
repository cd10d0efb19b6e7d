// SPDX-License-Identifier: BSD-3-Clause
//
// The ops of csrc/cuda/triplet/explicit.cu and triplet/batch.cu, with their kernels run by the host
// harness. They take CPU tensors and have the schemas of csrc/bind/schemas.h.
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

void solve(const TripletCall& call) {
  TripletQueue queue(call.op);
  run_triplet(queue, call.args);
}

void solve_backward(const TripletBackwardCall& call) {
  TripletQueue queue(call.op);
  run_triplet_backward(queue, call.args);
}

void solve_batch(const BatchTripletCall& call) {
  TripletQueue queue(call.op);
  run_batch_triplet(queue, call.args, policy);
}

void solve_batch_backward(const BatchTripletBackwardCall& call) {
  TripletQueue queue(call.op);
  run_batch_triplet_backward(queue, call.args, policy);
}

void set_seed(int64_t value) { seed = static_cast<std::uint64_t>(value) << 32; }
void set_policy(int64_t symmetric_rows, int64_t chunk) {
  policy = {symmetric_rows, static_cast<int32_t>(chunk)};
}
int64_t last_scans() { return scans; }

FRL_OPS(FRL_TRIPLET_HOST_OPS, m) {
  m.def(kTripletForward);
  m.def(kTripletBackward);
  m.def(kBatchTripletForward);
  m.def(kBatchTripletBackward);
  m.def("set_seed(int seed) -> ()");
  m.def("set_policy(int symmetric_rows, int chunk) -> ()");
  m.def("last_scans() -> int");
}

FRL_OPS_IMPL(FRL_TRIPLET_HOST_OPS, CompositeExplicitAutograd, m) {
  m.impl("triplet_forward", boxed<&Op<TripletCall, solve>::run>());
  m.impl("triplet_backward", boxed<&Op<TripletBackwardCall, solve_backward>::run>());
  m.impl("batch_triplet_forward", boxed<&Op<BatchTripletCall, solve_batch>::run>());
  m.impl("batch_triplet_backward",
         boxed<&Op<BatchTripletBackwardCall, solve_batch_backward>::run>());
  m.impl("set_seed", boxed<&set_seed>());
  m.impl("set_policy", boxed<&set_policy>());
  m.impl("last_scans", boxed<&last_scans>());
}

}  // namespace
}  // namespace fused_rankloss::host
