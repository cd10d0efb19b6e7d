// SPDX-License-Identifier: BSD-3-Clause
//
// The op lambda_forward on the CPU: check, solve list by list, reduce.
#include "bind/lambda.h"

#include "bind/list_checks.h"
#include "cpu/lambda/list.h"
#include "cpu/lists/tasks.h"

namespace fused_rankloss::cpu::lambda {
namespace {

template <typename Score>
std::vector<ListResult> solve_batch(const LambdaCall& call, const ListReader<Score>& reader) {
  using List = LambdaList<Score>;
  const LambdaArgs& args = call.args;
  const RankTables tables(args, longest_list(args.lists, call.op));
  std::vector<ListResult> results(args.lists.num_lists);
  OptionalTensor workspace;
  run_lists(
      args.lists, List::shared_slots(args, reader, tables),
      [&](int64_t slots) { return List::workspace_bytes(args, reader, tables, slots); },
      [&](int64_t bytes) {
        workspace = new_tensor(call.outputs->loss, {bytes}, ScalarType::Byte);
        return static_cast<std::byte*>(workspace->mutable_data_ptr());
      },
      [&](const ThreadTeam& team, int64_t b, std::byte* memory) {
        List list(args, reader, tables, memory, args.lists.slots(b).size());
        results[b] = list.solve(b, team);
      });
  return results;
}

void solve(const LambdaCall& call) {
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
  m.impl("lambda_forward", boxed<&Op<LambdaCall, solve>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cpu::lambda
