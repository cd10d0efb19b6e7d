// SPDX-License-Identifier: BSD-3-Clause
//
// The op catalogue_block on the CPU: rows go to threads whole.
#include "bind/catalogue.h"

#include "cpu/catalogue/row.h"
#include "cpu/lists/parallel.h"

namespace fused_rankloss::cpu::catalogue {
namespace {

// Items are used as indices, so that they must be in range.
void check_sets(const CatalogueArgs& args, const ItemSets& sets, int64_t numel, const char* name,
                const std::string& op) {
  check(sets.offsets[0] == 0 && sets.offsets[args.num_queries] == numel, op, ": expected ", name,
        " with offsets that start at 0 and end at ", numel, ", got ", sets.offsets[0], " and ",
        sets.offsets[args.num_queries]);
  for (int64_t q = 0; q < args.num_queries; ++q) {
    check(sets.size(q) >= 0, op, ": expected ", name, " with offsets that never fall, got ",
          sets.offsets[q], " and ", sets.offsets[q + 1], " for query ", q);
  }
  for (int64_t t = 0; t < numel; ++t) {
    check(sets.items[t] >= 0 && sets.items[t] < args.num_items, op, ": expected ", name, " in [0, ",
          args.num_items, "), got ", sets.items[t]);
  }
}

template <typename Real>
void solve_rows(const CatalogueArgs& args) {
  const ThreadTeam team = ThreadTeam::all();
  std::vector<RowSolver<Real>> solvers(team.size(), RowSolver<Real>(args));
  team.run(args.num_queries, [&](int64_t query, int worker) { solvers[worker].solve(query); });
}

void solve(const CatalogueBlockCall& call) {
  check_sets(call.args, call.args.positives, call.num_positives, "positives", call.op);
  check_sets(call.args, call.args.excluded, call.num_excluded, "exclude", call.op);
  if (call.dtype == ScalarType::Double) {
    solve_rows<double>(call.args);
  } else {
    solve_rows<float>(call.args);
  }
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CPU, m) {
  m.impl("catalogue_block", boxed<&Op<CatalogueBlockCall, solve>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cpu::catalogue
