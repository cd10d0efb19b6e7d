// SPDX-License-Identifier: BSD-3-Clause
//
// The op listwise_forward with the kernels of csrc/cuda, as they ship, except the threshold from
// short to long lists that a test chooses.
#include "bind/listwise.h"
#include "cuda/listwise/dispatch.cuh"
#include "cuda/listwise/long.cuh"
#include "cuda/listwise/short.cuh"
#include "harness/host_queue.h"

namespace fused_rankloss::host {

using namespace cuda;
using namespace cuda::listwise;

namespace {

HostDeviceAttributes attributes;
int64_t crossover = kBlockListItems;
std::uint64_t atomics = 0;  // of the last launch
std::uint64_t blocks = 0;   // of a call that is one launch

void solve(const ListwiseCall& call) {
  leave_traces(call.outputs->raw_grad);
  leave_traces(call.outputs->list_scale);
  HostQueue queue(call.op, attributes);
  run_listwise(queue, call.args, crossover);
  atomics = cuda_host::Machine::get().atomics;
  const bool one_launch = longest_list(call.args.lists) <= crossover;
  blocks = one_launch ? ShortListsGrid(call.args.lists).num_blocks : atomics;
}

void set_seed(int64_t value) { attributes.seed = value; }
void set_crossover(int64_t value) { crossover = value; }
void set_blocks(int64_t value) { attributes.resident_blocks = value; }
std::tuple<int64_t, int64_t> last_launch() { return {atomics, blocks}; }

STABLE_TORCH_LIBRARY(fused_rankloss_listwise_host, m) {
  m.def(kListwiseForward);
  m.def("set_seed(int seed) -> ()");
  m.def("set_crossover(int slots) -> ()");
  m.def("set_blocks(int blocks) -> ()");
  m.def("last_launch() -> (int atomics, int blocks)");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_listwise_host, CompositeExplicitAutograd, m) {
  m.impl("listwise_forward", boxed<&Op<ListwiseCall, solve>::run>());
  m.impl("set_seed", boxed<&set_seed>());
  m.impl("set_crossover", boxed<&set_crossover>());
  m.impl("set_blocks", boxed<&set_blocks>());
  m.impl("last_launch", boxed<&last_launch>());
}

}  // namespace
}  // namespace fused_rankloss::host
