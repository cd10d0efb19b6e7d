// SPDX-License-Identifier: BSD-3-Clause
//
// The op lambda_forward with the kernels of long lists, at a crossover of the test's choice. Lists
// that are short for it have no pairs here: others would solve them.
#include "common/lambda_op.h"
#include "cuda/lambda_long_plan.cuh"
#include "cuda/lambda_scan_plan.cuh"
#include "host_device.h"
#include "host_schemas.h"

namespace fused_rankloss::host {
namespace {

std::uint64_t seed = 0;
int64_t crossover = 0;
int64_t most_blocks = 2;  // of kernels whose blocks go over their work again and again
bool scans = false;       // where weights factor

void solve(const Tensor& /*scores*/, const LambdaCall& call) {
  const LambdaArgs& args = call.args;
  const Lists& lists = args.lists;
  leave_traces(call.results->raw_grad);
  std::vector<std::byte> partials = workspace_of(ListPartials::bytes_of_whole_lists(lists));
  const ListPartials view = ListPartials::of_whole_lists(lists, crossover, partials.data());
  for (int64_t list = 0; list < lists.num_lists; ++list) {
    if (is_long(lists, list, crossover)) continue;
    if (args.statistics != nullptr) {
      double* statistics = args.statistics + 3 * list;
      statistics[0] = statistics[1] = 0;
      statistics[2] = kNan<double>;
    }
    const Range slots = lists.slots(list);
    if (slots.size() > 0) view.at(0, slots.begin / kWarpSize, list) = {};
  }
  dispatch_lambda_real(args, [&]<class Real>() {
    const LambdaLongPlan<Real> plan(args, crossover, /*sort_bytes=*/0);
    std::vector<std::byte> workspace = workspace_of(plan.workspace_bytes());
    HostDevice device(seed, most_blocks);
    plan.run(device, workspace.data(), view, [&](const auto& params) {
      if (!scans || !scan_factors(args)) {
        return plan.run_direct_pairs(device, params, most_blocks);
      }
      const LambdaScanPlan<Real> scan(args, plan.most_lists());
      std::vector<std::byte> memory = workspace_of(scan.workspace_bytes());
      device.launch_together(lambda_scan_kernel<Real>, scan.num_tiles(),
                             scan.params(params.ranked_lists(), memory.data()));
    });
  });
}

void set_seed(int64_t value) { seed = value; }
void set_crossover(int64_t value) { crossover = value; }
void set_blocks(int64_t value) { most_blocks = value; }
void set_scans(bool value) { scans = value; }

}  // namespace
}  // namespace fused_rankloss::host

STABLE_TORCH_LIBRARY(fused_rankloss_lambda_long_host, m) {
  m.def(fused_rankloss::host::kLambdaForward);
  m.def("set_seed(int seed) -> ()");
  m.def("set_crossover(int slots) -> ()");
  m.def("set_blocks(int blocks) -> ()");
  m.def("set_scans(bool scans) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_lambda_long_host, CompositeExplicitAutograd, m) {
  m.impl("lambda_forward",
         fused_rankloss::boxed<&fused_rankloss::lambda_forward<fused_rankloss::host::solve>>());
  m.impl("set_seed", TORCH_BOX(&fused_rankloss::host::set_seed));
  m.impl("set_crossover", TORCH_BOX(&fused_rankloss::host::set_crossover));
  m.impl("set_blocks", TORCH_BOX(&fused_rankloss::host::set_blocks));
  m.impl("set_scans", TORCH_BOX(&fused_rankloss::host::set_scans));
}
