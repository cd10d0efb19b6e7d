// SPDX-License-Identifier: BSD-3-Clause
//
// The op lambda_forward on CUDA: check, guard, launch.
#include "common/lambda_op.h"
#include "cuda/lambda_long.h"
#include "cuda/lambda_short.h"
#include "cuda/launch.h"
#include "cuda/list_partials.cuh"
#include "cuda/short_lists.h"

namespace fused_rankloss {
namespace {

// Batches of which some list may be longer than one block solves. Short lists leave their sums to
// the kernels of the long ones, which finish the call.
void run_long_lists(const Tensor& scores, const LambdaCall& call, const LaunchScope& scope) {
  const LambdaArgs& args = call.args;
  const int64_t long_bytes = long_lambda_bytes(args, kShortLambda, scope);
  const Tensor workspace = new_tensor(
      scores, {long_bytes + ListPartials::bytes_of_whole_lists(args.lists)}, ScalarType::Byte);
  char* memory = static_cast<char*>(workspace.mutable_data_ptr());
  const ListPartials partials =
      ListPartials::of_whole_lists(args.lists, kShortLambda, memory + long_bytes);
  if (args.lists.num_lists > 1) launch_short_lambda(args, &partials, nullptr, scope);
  launch_long_lambda(args, partials, memory, scope);
}

void solve(const Tensor& scores, const LambdaCall& call) {
  const LaunchScope scope(scores, call.op);
  if (longest_list(call.args.lists) <= kShortLambda) {
    const Tensor workspace = new_tensor(scores, {short_lambda_bytes(call.args)}, ScalarType::Byte);
    launch_short_lambda(call.args, nullptr, workspace.mutable_data_ptr(), scope);
  } else {
    run_long_lists(scores, call, scope);
  }
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("lambda_forward",
         fused_rankloss::boxed<&fused_rankloss::lambda_forward<fused_rankloss::solve>>());
}
