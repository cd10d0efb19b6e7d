// SPDX-License-Identifier: BSD-3-Clause
//
// The op lambda_forward with lambda_short_kernel, for batches of which no list is too long for it.
#include "common/lambda_op.h"
#include "cuda/lambda_short.cuh"
#include "host_memory.h"
#include "host_schemas.h"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
bool others_finish = false;
std::uint64_t atomics = 0;  // of the last launch
std::uint64_t blocks = 0;

void run(const LambdaCall& call, const ListPartials& partials) {
  dispatch_short_lambda(call.args, [&]<class Loss, typename Real>() {
    const ShortLambdaPlan plan(call.args, partials);
    std::vector<std::byte> workspace = workspace_of(plan.workspace_bytes());
    const ShortLambdaParams params = plan.params(workspace.data());
    if (params.finishes()) *params.finished_blocks = 0;
    blocks = plan.num_blocks();
    cuda_host::launch({.grid = {static_cast<unsigned>(blocks)},
                       .block = {ShortLambdaPlan::kThreads},
                       .seed = seed},
                      lambda_short_kernel<Loss, Real>, params);
    atomics = cuda_host::Machine::get().atomics;
  });
}

// The last step of the kernels of longer lists.
template <typename Real>
__global__ void finish_kernel(PairwiseArgs args, ListPartials partials) {
  reduce_lists<Real, ShortLambdaPlan::kThreads>(args, partials);
}

void solve(const Tensor& /*scores*/, const LambdaCall& call) {
  const LambdaArgs& args = call.args;
  leave_traces(call.results->raw_grad);
  leave_traces(call.results->list_scale);
  leave_traces(*call.statistics);
  if (!others_finish) {
    run(call, {});
    return;
  }
  // A byte at least: null would mean that nobody finishes the call but the kernel.
  std::vector<std::byte> memory = workspace_of(ListPartials::bytes_of_whole_lists(args.lists) + 1);
  const ListPartials partials =
      ListPartials::of_whole_lists(args.lists, kShortLambda, memory.data());
  run(call, partials);
  atomics = blocks;
  const cuda_host::LaunchConfig config{
      .grid = {1}, .block = {ShortLambdaPlan::kThreads}, .seed = seed};
  if (args.score_type == ScoreType::kDouble) {
    cuda_host::launch(config, finish_kernel<double>, reduction_args(args), partials);
  } else {
    cuda_host::launch(config, finish_kernel<float>, reduction_args(args), partials);
  }
}

// As for the kernels of longer lists: value and pairs [B, 2] of the lists, NaN where a list is left
// to them, and the gradients, NaN there.
std::tuple<Tensor, Tensor> list_sums(const Tensor& scores, const Tensor& labels,
                                     const Tensor& offsets) {
  const LambdaCall call(scores, labels, {}, {}, {}, {}, offsets, {}, "lambdarank", "logistic", 1, 1,
                        1, 10, "exponential", 0, "either", false, false, "product", "sum", true,
                        false);
  const Lists& lists = call.args.lists;
  leave_traces(call.results->raw_grad);
  std::vector<std::byte> memory = workspace_of(ListPartials::bytes_of_whole_lists(lists));
  const ListPartials partials = ListPartials::of_whole_lists(lists, kShortLambda, memory.data());
  run(call, partials);
  Tensor sums = new_tensor(scores, {lists.num_lists, 2}, ScalarType::Double);
  double* out = static_cast<double*>(sums.mutable_data_ptr());
  for (int64_t list = 0; list < lists.num_lists; ++list) {
    const ListPartial& sum = partials.at(0, lists.slots(list).begin / kWarpSize, list);
    *out++ = sum.value.total();
    *out++ = sum.pairs;
  }
  return {sums, call.results->raw_grad};
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

void set_seed(int64_t value) { seed = value; }
void set_others_finish(bool value) { others_finish = value; }
std::tuple<int64_t, int64_t> last_launch() { return {atomics, blocks}; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_lambda_short_host, m) {
  m.def(fused_rankloss::host::kLambdaForward);
  m.def(
      "list_sums(Tensor scores, Tensor labels, Tensor offsets) -> (Tensor sums, Tensor raw_grad)");
  m.def("float_logistic(Tensor more, Tensor less, float sigma) -> Tensor");
  m.def("set_seed(int seed) -> ()");
  m.def("set_others_finish(bool others) -> ()");
  m.def("last_launch() -> (int atomics, int blocks)");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_lambda_short_host, CompositeExplicitAutograd, m) {
  m.impl("lambda_forward",
         fused_rankloss::boxed<&fused_rankloss::lambda_forward<fused_rankloss::host::solve>>());
  m.impl("list_sums", TORCH_BOX(&fused_rankloss::host::list_sums));
  m.impl("float_logistic", TORCH_BOX(&fused_rankloss::host::float_logistic));
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_others_finish", TORCH_BOX(&fused_rankloss::host::set_others_finish));
  m.impl("last_launch", TORCH_BOX(&fused_rankloss::host::last_launch));
}
