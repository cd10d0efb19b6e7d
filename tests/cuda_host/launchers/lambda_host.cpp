// SPDX-License-Identifier: BSD-3-Clause
//
// The op lambda_forward with the kernels of csrc/cuda, as they ship, except the paths that a test
// chooses.
#include "bind/lambda.h"
#include "cuda/lambda/dispatch.cuh"
#include "cuda/lambda/long.cuh"
#include "cuda/lambda/scan.cuh"
#include "cuda/lambda/short.cuh"
#include "harness/host_queue.h"

namespace fused_rankloss::host {

using namespace cuda;
using namespace cuda::lambda;

namespace {

HostDeviceAttributes attributes;
LambdaPaths paths;
std::uint64_t atomics = 0;  // of the last launch
std::uint64_t blocks = 0;   // of a call that is one launch

void solve(const LambdaCall& call) {
  leave_traces(call.outputs->raw_grad);
  leave_traces(call.outputs->list_scale);
  leave_traces(*call.statistics);
  HostQueue queue(call.op, attributes);
  run_lambda(queue, call.args, paths);
  atomics = cuda_host::Machine::get().atomics;
  const bool one_launch = longest_list(call.args.lists) <= paths.longest_short;
  blocks = one_launch ? ShortListsGrid(call.args.lists).num_blocks : atomics;
}

// Value and slope [N, 2] of the logistic loss in fp32 arithmetic.
Tensor float_logistic(const Tensor& more, const Tensor& less, double sigma) {
  const float* i = static_cast<const float*>(more.const_data_ptr());
  const float* j = static_cast<const float*>(less.const_data_ptr());
  Tensor terms = new_tensor(more, {more.numel(), 2}, ScalarType::Double);
  double* out = static_cast<double*>(terms.mutable_data_ptr());
  for (int64_t t = 0; t < more.numel(); ++t) {
    const LambdaTerm term = FloatLogistic::term(i[t], j[t], {sigma, 0});
    *out++ = term.value;
    *out++ = term.slope;
  }
  return terms;
}

void set_seed(int64_t value) { attributes.seed = value; }
void set_blocks(int64_t value) { attributes.resident_blocks = value; }
void set_crossover(std::optional<int64_t> value) {
  paths.longest_short = value.value_or(LambdaPaths{}.longest_short);
}
void set_scans(bool value) { paths.scans = value; }
std::tuple<int64_t, int64_t> last_launch() { return {atomics, blocks}; }

STABLE_TORCH_LIBRARY(fused_rankloss_lambda_host, m) {
  m.def(kLambdaForward);
  m.def("float_logistic(Tensor more, Tensor less, float sigma) -> Tensor");
  m.def("set_seed(int seed) -> ()");
  m.def("set_blocks(int blocks) -> ()");
  m.def("set_crossover(int? slots) -> ()");
  m.def("set_scans(bool scans) -> ()");
  m.def("last_launch() -> (int atomics, int blocks)");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_lambda_host, CompositeExplicitAutograd, m) {
  m.impl("lambda_forward", boxed<&Op<LambdaCall, solve>::run>());
  m.impl("float_logistic", boxed<&float_logistic>());
  m.impl("set_seed", boxed<&set_seed>());
  m.impl("set_blocks", boxed<&set_blocks>());
  m.impl("set_crossover", boxed<&set_crossover>());
  m.impl("set_scans", boxed<&set_scans>());
  m.impl("last_launch", boxed<&last_launch>());
}

}  // namespace
}  // namespace fused_rankloss::host
