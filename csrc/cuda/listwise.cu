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

std::tuple<Tensor, Tensor, Tensor> listwise_forward(
    const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
    const OptionalTensor& gains, const OptionalTensor& mask, const OptionalTensor& lengths,
    const OptionalTensor& offsets, const OptionalTensor& position_weights, const std::string& loss,
    const std::string& positions, double temperature, const std::string& gain,
    const std::string& reduction, bool needs_grad) {
  const ListwiseCall call(scores, labels, weights, gains, mask, lengths, offsets, position_weights,
                          loss, positions, temperature, gain, reduction, needs_grad);
  const LaunchScope scope(scores, call.op);
  const int64_t long_bytes = long_listwise_bytes(call.args, kBlockListItems, scope);
  const int64_t short_bytes = short_listwise_bytes(call.args, kBlockListItems);
  const Tensor workspace = new_tensor(scores, {long_bytes + short_bytes}, ScalarType::Byte);
  char* memory = static_cast<char*>(workspace.mutable_data_ptr());
  const ListPartials partials =
      launch_short_listwise(call.args, kBlockListItems, memory + long_bytes, scope);
  if (long_bytes > 0) launch_long_listwise(call.args, partials, memory, scope);
  return call.tensors();
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("listwise_forward", TORCH_BOX(&fused_rankloss::listwise_forward));
}
