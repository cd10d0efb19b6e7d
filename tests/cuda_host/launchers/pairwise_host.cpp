// SPDX-License-Identifier: BSD-3-Clause
//
// The ops of csrc/cuda/pairwise/pairwise.cu and lists/backward.cu, with their kernels run by the
// host harness. They take CPU tensors and have the schemas of csrc/bind/schemas.h, so that a test
// can put them in the place of the real ops.
#include <typeindex>

#include "bind/lists_backward.h"
#include "bind/pairwise.h"
#include "cuda/lists/backward.cuh"
#include "cuda/pairwise/dispatch.cuh"
#include "cuda/pairwise/long_plan.cuh"
#include "cuda/pairwise/short.cuh"
#include "harness/host_queue.h"

namespace fused_rankloss::host {

using namespace cuda;
using namespace cuda::pairwise;

namespace {

HostDeviceAttributes attributes;

// The route of a call, where a test does not want that of the real op.
std::string kernel;      // "tiles" or "short"; or else ""
int64_t crossover = -1;  // longer lists are sorted; or else the route's
int64_t one_launch = kOneLaunchSlots;

int64_t kernels = 0;   // of the last call, a digit each: KERNELS of conftest.py
uint64_t atomics = 0;  // of its last launch
uint64_t blocks = 0;

PairwiseRoute route_for(const PairwiseArgs& args) {
  PairwiseRoute route = route_of(args);
  if (kernel == "tiles") route = {.is_batch = false, .crossover = kNoLongLists};
  if (kernel == "short") route = {.is_batch = true, .crossover = kNoLongLists};
  if (crossover >= 0) route.crossover = crossover;
  route.one_launch = one_launch;
  return route;
}

void note_launches(const HostQueue& queue) {
  const auto digit_of = [](const std::type_index& parameters) {
    if (parameters == typeid(PairwiseParams)) return 1;
    if (parameters == typeid(ShortListsParams)) return 2;
    return 3;
  };
  kernels = 0;
  for (const std::type_index& parameters : queue.launches()) {
    const int digit = digit_of(parameters);
    if (kernels % 10 != digit) kernels = 10 * kernels + digit;
  }
  atomics = queue.last_atomics();
  blocks = queue.last_blocks();
}

void solve(const PairwiseCall& call) {
  for (const auto* result : {&call.loss, &call.raw_grad, &call.list_scale, &call.margin_slope}) {
    leave_traces(**result);
  }
  HostQueue queue(call.op, attributes);
  run_pairwise(queue, call.args, call.loss_name, route_for(call.args));
  note_launches(queue);
}

void solve_backward(const ListsBackwardCall& call) {
  HostQueue queue(call.kOp, attributes);
  dispatch_scores(call.grad_scores->scalar_type(), call.kOp,
                  [&](auto stored) { run_lists_backward<decltype(stored)>(queue, call.args); });
}

// Calls with more slots than a test has memory for. No kernel may read them.
void huge_forward(int64_t slots) {
  HostQueue queue("pairwise_hinge_loss");
  PairwiseArgs args;
  args.lists = {.num_lists = 1, .num_slots = slots, .width = slots};
  run_pairwise(queue, args, "hinge");
}
void huge_backward(int64_t slots) {
  HostQueue queue("lists_backward");
  ListsBackwardArgs args;
  args.lists = {.num_lists = 1, .num_slots = slots, .width = slots};
  run_lists_backward<float>(queue, args);
}

void set_seed(int64_t value) { attributes.seed = value; }
void set_blocks(int64_t value) { attributes.resident_blocks = value; }
void set_route(const std::string& wanted, int64_t longest, int64_t most_slots) {
  kernel = wanted;
  crossover = longest;
  one_launch = most_slots < 0 ? kOneLaunchSlots : most_slots;
}
int64_t last_kernels() { return kernels; }
std::tuple<int64_t, int64_t> last_launch() { return {atomics, blocks}; }

STABLE_TORCH_LIBRARY(fused_rankloss_host, m) {
  m.def(kPairwiseForward);
  m.def(kListsBackward);
  m.def("huge_forward(int slots) -> ()");
  m.def("huge_backward(int slots) -> ()");
  m.def("set_seed(int seed) -> ()");
  m.def("set_blocks(int blocks) -> ()");
  m.def("set_route(str kernel, int crossover, int one_launch) -> ()");
  m.def("last_kernels() -> int");
  m.def("last_launch() -> (int atomics, int blocks)");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_host, CompositeExplicitAutograd, m) {
  m.impl("pairwise_forward", boxed<&Op<PairwiseCall, solve>::run>());
  m.impl("lists_backward", boxed<&Op<ListsBackwardCall, solve_backward>::run>());
  m.impl("huge_forward", boxed<&huge_forward>());
  m.impl("huge_backward", boxed<&huge_backward>());
  m.impl("set_seed", boxed<&set_seed>());
  m.impl("set_blocks", boxed<&set_blocks>());
  m.impl("set_route", boxed<&set_route>());
  m.impl("last_kernels", boxed<&last_kernels>());
  m.impl("last_launch", boxed<&last_launch>());
}

}  // namespace
}  // namespace fused_rankloss::host
