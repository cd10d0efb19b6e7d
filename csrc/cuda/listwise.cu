// SPDX-License-Identifier: BSD-3-Clause
//
// The op listwise_forward on CUDA: check, guard, launch.
#include "common/listwise_op.h"
#include "cuda/launch.h"
#include "cuda/list_partials.cuh"
#include "cuda/listwise.h"
#include "cuda/listwise_policy.h"

namespace fused_rankloss {
namespace {

void solve(const Tensor& scores, const ListwiseCall& call) {
  const LaunchScope scope(scores, call.op);
  const int64_t long_bytes = long_listwise_bytes(call.args, kBlockListItems, scope);
  const int64_t short_bytes = short_listwise_bytes(call.args, kBlockListItems);
  const Tensor workspace = new_tensor(scores, {long_bytes + short_bytes}, ScalarType::Byte);
  char* memory = static_cast<char*>(workspace.mutable_data_ptr());
  const ListPartials partials =
      launch_short_listwise(call.args, kBlockListItems, memory + long_bytes, scope);
  if (long_bytes > 0) launch_long_listwise(call.args, partials, memory, scope);
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("listwise_forward",
         fused_rankloss::boxed<&fused_rankloss::listwise_forward<fused_rankloss::solve>>());
}
