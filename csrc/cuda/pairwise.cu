// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward on CUDA: check, guard, dispatch, launch.
#include "common/pairwise_op.h"
#include "cuda/half_list.h"
#include "cuda/launch.h"
#include "cuda/long_lists.h"
#include "cuda/pairwise_dispatch.cuh"
#include "cuda/short_lists.h"
#include "cuda/small_class.h"

namespace fused_rankloss {
namespace {

// The Device of run_pairwise.
class CallOnStream {
 public:
  CallOnStream(const Tensor& scores, const PairwiseCall& call)
      : scores_(scores), call_(call), scope_(scores, call.op) {}

  void* workspace(int64_t bytes) {
    workspace_ = new_tensor(scores_, {bytes}, ScalarType::Byte);
    return workspace_->mutable_data_ptr();
  }

  int64_t half_list_bytes() const { return fused_rankloss::half_list_bytes(call_.args); }

  void half_list(void* memory) { launch_half_list(call_.args, memory, scope_); }

  bool wants_small_class() const { return fused_rankloss::wants_small_class(); }

  int64_t small_class_bytes() const { return fused_rankloss::small_class_bytes(call_.args); }

  void small_class(void* memory) { launch_small_class(call_.args, memory, scope_); }

  int64_t longest_short_list() const {
    return fused_rankloss::longest_short_list(
        call_.args, {scope_.shared_bytes_of_block(), scope_.shared_bytes_of_multiprocessor()});
  }

  int64_t short_lists_bytes() const { return fused_rankloss::short_lists_bytes(call_.args); }

  void short_lists(const ListPartials* partials, void* memory) {
    launch_short_lists(call_.args, call_.loss_name, longest_short_list(), partials, memory, scope_);
  }

  void tiles(const PairwisePlan& plan, const PairwiseParams& params) {
    const unsigned grid = scope_.grid(plan.num_blocks());
    check_cuda(cudaMemsetAsync(params.finished_blocks, 0, sizeof(uint32_t), scope_.stream()),
               call_.op);
    dispatch_term(call_.args, call_.loss_name, scope_.slow_double(), [&]<class Term>() {
      pairwise_kernel<Term><<<grid, Term::kTile.threads(), 0, scope_.stream()>>>(params);
    });
    scope_.check_launch();
  }

  int64_t long_lists_bytes() const {
    return fused_rankloss::long_lists_bytes(call_.args, call_.loss_name, scope_);
  }

  void long_lists(const ListPartials& partials, void* memory) {
    launch_long_lists(call_.args, call_.loss_name, partials, memory, scope_);
  }

 private:
  const Tensor& scores_;
  const PairwiseCall& call_;
  LaunchScope scope_;
  OptionalTensor workspace_;
};

void solve(const Tensor& scores, const PairwiseCall& call) {
  CallOnStream device(scores, call);
  run_pairwise(call.args, device);
}

}  // namespace
}  // namespace fused_rankloss

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CUDA, m) {
  m.impl("pairwise_forward",
         fused_rankloss::boxed<&fused_rankloss::pairwise_forward<fused_rankloss::solve>>());
}
