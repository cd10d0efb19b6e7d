// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward as csrc/cuda/pairwise.cu dispatches it, for fp32 scores: the hinge
// without weights, which counts, and the squared hinge. Of 16-bit scores, one long list.
#include "common/pairwise_op.h"
#include "cuda/half_list_plan.cuh"
#include "cuda/long_lists_plan.cuh"
#include "cuda/pairwise_dispatch.cuh"
#include "cuda/short_lists.cuh"
#include "cuda/small_class_plan.cuh"
#include "host_schemas.h"
#include "one_list_device.h"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
SharedMemory shared_memory{64 * 1024, 64 * 1024};
bool small_class_wanted = false;
int64_t kernels = 0;  // of the last call, a digit each

enum Kernel { kShortLists = 1, kTiles = 2, kLongLists = 3, kHalfLists = 4, kSmallClass = 5 };

// The Device of run_pairwise.
class HostCall {
 public:
  explicit HostCall(const PairwiseCall& call) : args_(call.args) {
    check(args_.score_type == ScoreType::kFloat || fused_rankloss::is_half_list(args_),
          "expected fp32 scores, or one long list");
    check(args_.counts || call.loss_name == "squared_hinge", "expected counts or squared_hinge");
  }

  void* workspace(int64_t bytes) {
    workspace_ = workspace_of(bytes);
    return workspace_.data();
  }

  int64_t half_list_bytes() const { return HalfListPlan(args_).workspace_bytes(); }

  void half_list(void* memory) {
    note(kHalfLists);
    OneListDevice device(seed, /*most_blocks=*/3);
    HalfListPlan(args_).run(device, memory);
  }

  bool wants_small_class() const { return small_class_wanted; }

  int64_t small_class_bytes() const { return SmallClassPlan<float>(args_).workspace_bytes(); }

  void small_class(void* memory) {
    note(kSmallClass);
    OneListDevice device(seed, /*most_blocks=*/3);
    SmallClassPlan<float>(args_).run(device, memory);
  }

  int64_t longest_short_list() const {
    return fused_rankloss::longest_short_list(args_, shared_memory);
  }

  int64_t short_lists_bytes() const {
    return ShortListsPlan(args_, longest_short_list()).workspace_bytes();
  }

  void short_lists(const ListPartials* partials, void* memory) {
    note(kShortLists);
    const ShortListsPlan plan(args_, longest_short_list(), partials ? *partials : ListPartials{});
    const ShortListsParams params = plan.params(memory);
    std::memset(params.counters, 0, ShortListsParams::kCounterBytes);
    with_term([&]<class Term>() {
      const int64_t blocks = std::min<int64_t>(plan.most_blocks(), 3);
      launch(blocks, ShortListsPlan::kThreads, short_lists_kernel<Term>, params);
    });
  }

  void tiles(const PairwisePlan& plan, const PairwiseParams& params) {
    note(kTiles);
    *params.finished_blocks = 0;
    with_term([&]<class Term>() {
      launch(plan.num_blocks(), Term::kTile.threads(), pairwise_kernel<Term>, params);
    });
  }

  int64_t long_lists_bytes() const {
    int64_t bytes = 0;
    with_long_plan([&](const auto& plan) { bytes = plan.workspace_bytes(); });
    return bytes;
  }

  void long_lists(const ListPartials& partials, void* memory) {
    note(kLongLists);
    with_long_plan([&](const auto& plan) {
      HostDevice device(seed, /*most_blocks=*/3);
      plan.run(device, memory, partials);
    });
  }

 private:
  static void note(Kernel kernel) { kernels = kernels * 10 + kernel; }

  template <class Params>
  static void launch(int64_t blocks, int threads, void (*kernel)(Params),
                     const std::remove_cv_t<Params>& params) {
    cuda_host::launch({.grid = {static_cast<unsigned>(blocks)},
                       .block = {static_cast<unsigned>(threads)},
                       .seed = seed},
                      kernel, params);
  }

  template <typename Body>
  void with_term(Body&& body) const {
    if (args_.counts) {
      body.template operator()<CountTerm<float, int64_t>>();
    } else {
      body.template operator()<ValueTerm<SquaredHinge, float, int64_t, double>>();
    }
  }

  template <typename Body>
  void with_long_plan(Body&& body) const {
    if (args_.counts) {
      body(LongListsPlan<LongCounts<float>>(args_, /*sort_bytes=*/0));
    } else {
      body(LongListsPlan<LongValues<SquaredHinge, float>>(args_, /*sort_bytes=*/0));
    }
  }

  const PairwiseArgs& args_;
  std::vector<std::byte> workspace_;
};

void solve(const Tensor& /*scores*/, const PairwiseCall& call) {
  for (const auto* result : {&call.loss, &call.raw_grad, &call.list_scale, &call.margin_slope}) {
    leave_traces(**result);
  }
  kernels = 0;
  HostCall device(call);
  run_pairwise(call.args, device);
}

void set_seed(int64_t value) { seed = value; }
void want_small_class(bool value) { small_class_wanted = value; }
void set_shared_memory(int64_t of_block, int64_t of_multiprocessor) {
  shared_memory = {of_block, of_multiprocessor};
}
int64_t last_kernels() { return kernels; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_dispatch_host, m) {
  m.def(fused_rankloss::host::kPairwiseForward);
  m.def("set_seed(int seed) -> ()");
  m.def("want_small_class(bool wanted) -> ()");
  m.def("set_shared_memory(int of_block, int of_multiprocessor) -> ()");
  m.def("last_kernels() -> int");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_dispatch_host, CompositeExplicitAutograd, m) {
  m.impl("pairwise_forward",
         fused_rankloss::boxed<&fused_rankloss::pairwise_forward<fused_rankloss::host::solve>>());
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("want_small_class", TORCH_BOX(&fused_rankloss::host::want_small_class));
  m.impl("set_shared_memory", TORCH_BOX(&fused_rankloss::host::set_shared_memory));
  m.impl("last_kernels", TORCH_BOX(&fused_rankloss::host::last_kernels));
}
