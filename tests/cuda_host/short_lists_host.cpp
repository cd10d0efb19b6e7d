// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward with short_lists_kernel alone, whatever the dispatch of the real op would
// choose: for batches of which no list is too long for it.
#include "common/pairwise_op.h"
#include "cuda/short_lists.cuh"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
bool slow_double = false;
bool others_finish = false;
std::uint64_t atomics = 0;  // of the last launch
std::uint64_t blocks = 0;

void run(const PairwiseCall& call, const ListPartials& partials) {
  dispatch_term(call.args, call.loss_name, slow_double, [&]<class Term>() {
    const ShortListsPlan plan(call.args, partials);
    // Bytes of NaN, in an allocation of the exact size.
    std::vector<std::byte> workspace(plan.workspace_bytes(), std::byte{0xff});
    const ShortListsParams params = plan.params(workspace.data());
    if (params.finishes()) *params.finished_blocks = 0;
    blocks = plan.num_blocks();
    cuda_host::launch({.grid = {static_cast<unsigned>(blocks)},
                       .block = {ShortListsPlan::kThreads},
                       .seed = seed},
                      short_lists_kernel<Term>, params);
    atomics = cuda_host::Machine::get().atomics;
  });
}

// So that what nobody writes shows: NaN, or -1. Of nothing, too, where memory is null.
void leave_traces(void* memory, size_t bytes) {
  std::fill_n(static_cast<unsigned char*>(memory), bytes, 0xff);
}

// Places for the sums of lists, all NaN.
struct Partials {
  explicit Partials(const PairwiseArgs& args)
      : num_chunks((args.lists.num_slots + kWarpSize - 1) / kWarpSize),
        memory(args.num_margins * (num_chunks + args.lists.num_lists)),
        view{.data = memory.data(),
             .num_chunks = num_chunks,
             .num_lists = args.lists.num_lists,
             .crossover = kNoLongLists,
             .whole_lists = true} {
    leave_traces(memory.data(), memory.size() * sizeof(ListPartial));
  }

  int64_t num_chunks;
  std::vector<ListPartial> memory;
  ListPartials view;
};

// The last step of the kernels of longer lists.
template <typename Real>
__global__ void finish_kernel(PairwiseArgs args, ListPartials partials) {
  reduce_lists<Real, ShortListsPlan::kThreads>(args, partials);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> pairwise_forward(
    const Tensor& scores, const Tensor& labels, const OptionalTensor& weights,
    const OptionalTensor& mask, const OptionalTensor& lengths, const OptionalTensor& offsets,
    const OptionalTensor& margins, double margin, const std::string& loss,
    const std::string& weighting, double boundary_grad, const std::string& reduction,
    bool needs_grad) {
  const PairwiseCall call(scores, labels, weights, mask, lengths, offsets, margins, margin, loss,
                          weighting, boundary_grad, reduction, needs_grad);
  if (needs_grad) {
    leave_traces(call.args.raw_grad, call.raw_grad->numel() * call.raw_grad->element_size());
  }
  if (!others_finish) {
    run(call, {});
    return call.results();
  }
  const Partials partials(call.args);
  run(call, partials.view);
  atomics = blocks;
  const cuda_host::LaunchConfig config{.block = {ShortListsPlan::kThreads}, .seed = seed};
  if (call.args.score_type == ScoreType::kDouble) {
    cuda_host::launch(config, finish_kernel<double>, call.args, partials.view);
  } else {
    cuda_host::launch(config, finish_kernel<float>, call.args, partials.view);
  }
  return call.results();
}

// As for the kernels of longer lists: the sums [K, B, 4] of the lists (value in two parts, slope,
// pairs), NaN where a list is left to them, and the gradients, -1 there.
std::tuple<Tensor, Tensor> list_sums(const Tensor& scores, const Tensor& labels,
                                     const Tensor& offsets, const Tensor& margins,
                                     const std::string& loss) {
  const PairwiseCall call(scores, labels, {}, {}, {}, offsets, margins, 0, loss, "product", 1,
                          "sum", true);
  const Lists& lists = call.args.lists;
  const int64_t num_margins = call.args.num_margins;
  leave_traces(call.args.raw_grad, call.raw_grad->numel() * sizeof(int32_t));
  const Partials partials(call.args);
  run(call, partials.view);

  Tensor sums = new_tensor(scores, {num_margins, lists.num_lists, 4}, ScalarType::Double);
  ListPartial* out = static_cast<ListPartial*>(sums.mutable_data_ptr());
  for (int64_t k = 0; k < num_margins; ++k) {
    for (int64_t list = 0; list < lists.num_lists; ++list) {
      *out++ = partials.view.at(k, lists.slots(list).begin / kWarpSize, list);
    }
  }
  return {sums, *call.raw_grad};
}

void set_seed(int64_t value) { seed = value; }
void set_slow_double(bool value) { slow_double = value; }
void set_others_finish(bool value) { others_finish = value; }
std::tuple<int64_t, int64_t> last_launch() { return {atomics, blocks}; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_short_lists_host, m) {
  m.def(
      "pairwise_forward(Tensor scores, Tensor labels, Tensor? weights, Tensor? mask, "
      "Tensor? lengths, Tensor? offsets, Tensor? margins, float margin, str loss, str weighting, "
      "float boundary_grad, str reduction, bool needs_grad) "
      "-> (Tensor loss, Tensor raw_grad, Tensor list_scale, Tensor margin_slope)");
  m.def(
      "list_sums(Tensor scores, Tensor labels, Tensor offsets, Tensor margins, str loss) "
      "-> (Tensor sums, Tensor raw_grad)");
  m.def("set_seed(int seed) -> ()");
  m.def("set_slow_double(bool slow) -> ()");
  m.def("set_others_finish(bool others) -> ()");
  m.def("last_launch() -> (int atomics, int blocks)");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_short_lists_host, CompositeExplicitAutograd, m) {
  m.impl("pairwise_forward", TORCH_BOX(&fused_rankloss::host::pairwise_forward));
  m.impl("list_sums", TORCH_BOX(&fused_rankloss::host::list_sums));
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_slow_double", TORCH_BOX(&fused_rankloss::host::set_slow_double));
  m.impl("set_others_finish", TORCH_BOX(&fused_rankloss::host::set_others_finish));
  m.impl("last_launch", TORCH_BOX(&fused_rankloss::host::last_launch));
}
