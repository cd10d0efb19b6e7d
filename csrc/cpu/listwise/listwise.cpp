// SPDX-License-Identifier: BSD-3-Clause
//
// The op listwise_forward on the CPU: check, solve list by list, reduce.
#include "bind/listwise.h"

#include "bind/list_checks.h"
#include "cpu/lists/policy.h"
#include "cpu/lists/tasks.h"
#include "cpu/listwise/approx_ndcg.h"
#include "cpu/listwise/list_mle.h"
#include "cpu/listwise/listnet.h"

namespace fused_rankloss::cpu::listwise {
namespace {

template <typename List, typename Score>
std::vector<ListResult> solve_lists(const ListwiseCall& call, const ListReader<Score>& reader) {
  const ListwiseArgs& args = call.args;
  longest_list(args.lists, call.op);
  std::vector<ListResult> results(args.lists.num_lists);
  OptionalTensor workspace;
  run_lists(
      args.lists, kSharedList,
      [&](int64_t slots) { return List::workspace_bytes(args, reader, slots); },
      [&](int64_t bytes) {
        workspace = new_tensor(call.outputs->loss, {bytes}, ScalarType::Byte);
        return static_cast<std::byte*>(workspace->mutable_data_ptr());
      },
      [&](const ThreadTeam& team, int64_t b, std::byte* memory) {
        List list(args, reader, memory, args.lists.slots(b).size());
        results[b] = list.solve(b, team);
      });
  return results;
}

template <typename Score>
std::vector<ListResult> solve_batch(const ListwiseCall& call, const ListReader<Score>& reader) {
  switch (call.args.loss_kind) {
    case ListwiseLoss::kListNet:
      return solve_lists<ListNetList<Score>>(call, reader);
    case ListwiseLoss::kListMle:
      return solve_lists<ListMleList<Score>>(call, reader);
    default:
      return solve_lists<ApproxNdcgList<Score>>(call, reader);
  }
}

void solve(const ListwiseCall& call) {
  check_lists(call.args.lists, call.op);
  dispatch_scores(call.inputs.scores_dtype, call.op, [&](auto stored) {
    using Score = compute_t<decltype(stored)>;
    const auto results = solve_batch(call, ListReader<Score>::create(call.args, stored));
    if constexpr (std::is_same_v<Score, double>) {
      reduce_results<double>(call.args, results);
    } else {
      reduce_results<float>(call.args, results);
    }
  });
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CPU, m) {
  m.impl("listwise_forward", boxed<&Op<ListwiseCall, solve>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cpu::listwise
