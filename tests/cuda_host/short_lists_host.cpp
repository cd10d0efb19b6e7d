// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward with short_lists_kernel alone, whatever the dispatch of the real op would
// choose: for batches of which no list is too long for it.
#include "common/pairwise_op.h"
#include "cuda/short_lists.cuh"
#include "host_memory.h"
#include "host_schemas.h"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
bool slow_double = false;
SharedMemory shared_memory{227 * 1024, 228 * 1024};
bool others_finish = false;
int64_t most_blocks = 3;  // that run side by side
TicketPolicy tickets = kListTickets;
std::uint64_t atomics = 0;  // of the last launch
std::uint64_t expected = 0;

// One for each ticket, unless there are no more than teams, and one for each block at the end.
std::uint64_t expected_atomics(const ShortListsParams& params, unsigned blocks) {
  std::uint64_t atomics = params.finishes() ? blocks : 0;
  for (int round = 0; round < kListRounds; ++round) {
    const std::uint64_t all =
        std::uint64_t{params.teams.rounds[round].per_margin} * params.teams.num_margins;
    const unsigned teams = round == kWarpRound ? blocks * kListWarps : blocks;
    if (all > teams) atomics += all;
  }
  return atomics;
}

void run(const PairwiseCall& call, const ListPartials& partials) {
  dispatch_term(call.args, call.loss_name, slow_double, [&]<class Term>() {
    const ShortListsPlan plan(call.args, longest_short_list(call.args, shared_memory), partials,
                              tickets);
    std::vector<std::byte> workspace = workspace_of(plan.workspace_bytes());
    const ShortListsParams params = plan.params(workspace.data());
    std::memset(params.counters, 0, ShortListsParams::kCounterBytes);
    const auto blocks = static_cast<unsigned>(std::min(plan.most_blocks(), most_blocks));
    cuda_host::launch(
        {.grid = {blocks}, .block = {ShortListsPlan::kThreads}, .seed = seed, .together = true},
        short_lists_kernel<Term>, params);
    expected = expected_atomics(params, blocks);
    atomics = cuda_host::Machine::get().atomics;
  });
}

// Places for the sums of lists, all NaN.
struct Partials {
  explicit Partials(const PairwiseArgs& args)
      : num_chunks((args.lists.num_slots + kWarpSize - 1) / kWarpSize),
        memory(workspace_of(args.num_margins * (num_chunks + args.lists.num_lists) *
                            int64_t{sizeof(ListPartial)})),
        view{.data = reinterpret_cast<ListPartial*>(memory.data()),
             .num_chunks = num_chunks,
             .num_lists = args.lists.num_lists,
             .crossover = kNoLongLists,
             .whole_lists = true} {}

  int64_t num_chunks;
  std::vector<std::byte> memory;
  ListPartials view;
};

// The last step of the kernels of longer lists.
template <typename Real>
__global__ void finish_kernel(PairwiseArgs args, ListPartials partials) {
  reduce_lists<Real, ShortListsPlan::kThreads>(args, partials);
}

void solve(const Tensor& /*scores*/, const PairwiseCall& call) {
  leave_traces(*call.raw_grad);
  if (!others_finish) {
    run(call, {});
    return;
  }
  const Partials partials(call.args);
  run(call, partials.view);
  const cuda_host::LaunchConfig config{.block = {ShortListsPlan::kThreads}, .seed = seed};
  if (call.args.score_type == ScoreType::kDouble) {
    cuda_host::launch(config, finish_kernel<double>, call.args, partials.view);
  } else {
    cuda_host::launch(config, finish_kernel<float>, call.args, partials.view);
  }
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
  leave_traces(*call.raw_grad);
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
void set_blocks(int64_t value) { most_blocks = value; }
// About so many for blocks and for warps; 0 for those of the real op.
void set_tickets(int64_t value) {
  tickets = value == 0 ? kListTickets : TicketPolicy{.blocks = value, .warps = value};
}
void set_slow_double(bool value) { slow_double = value; }
void set_others_finish(bool value) { others_finish = value; }
std::tuple<int64_t, int64_t> last_launch() { return {atomics, expected}; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_short_lists_host, m) {
  m.def(fused_rankloss::host::kPairwiseForward);
  m.def(
      "list_sums(Tensor scores, Tensor labels, Tensor offsets, Tensor margins, str loss) "
      "-> (Tensor sums, Tensor raw_grad)");
  m.def("set_seed(int seed) -> ()");
  m.def("set_blocks(int blocks) -> ()");
  m.def("set_tickets(int tickets) -> ()");
  m.def("set_slow_double(bool slow) -> ()");
  m.def("set_others_finish(bool others) -> ()");
  m.def("last_launch() -> (int atomics, int expected)");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_short_lists_host, CompositeExplicitAutograd, m) {
  m.impl("pairwise_forward",
         fused_rankloss::boxed<&fused_rankloss::pairwise_forward<fused_rankloss::host::solve>>());
  m.impl("list_sums", TORCH_BOX(&fused_rankloss::host::list_sums));
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_blocks", TORCH_BOX(&fused_rankloss::host::set_blocks));
  m.impl("set_tickets", TORCH_BOX(&fused_rankloss::host::set_tickets));
  m.impl("set_slow_double", TORCH_BOX(&fused_rankloss::host::set_slow_double));
  m.impl("set_others_finish", TORCH_BOX(&fused_rankloss::host::set_others_finish));
  m.impl("last_launch", TORCH_BOX(&fused_rankloss::host::last_launch));
}
