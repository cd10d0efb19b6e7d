// SPDX-License-Identifier: BSD-3-Clause
//
// Chooses the kernels of a call of lambda_forward on CUDA.
#pragma once

#include "cuda/lambda/launchers.h"
#include "cuda/lists/partials.cuh"
#include "cuda/lists/weight_units.cuh"

namespace fused_rankloss::cuda::lambda {

// Choices that tests override.
struct LambdaPaths {
  int64_t longest_short = kShortLambda;
  bool scans = true;  // sum pairs whose weights factor by a scan instead of one by one
};

template <class Queue>
void run_lambda(Queue& queue, const LambdaArgs& args, const LambdaPaths& paths = {}) {
  const Lists& lists = args.lists;
  check_slots(lists, queue.op());
  const uint32_t* exponents = weight_exponents(queue, args, args.all_pairs());
  if (longest_list(lists) <= paths.longest_short) {
    run_short_lambda(queue, args, paths.longest_short, exponents, ListPartials{});
    return;
  }
  // Even a single list may be short: only the device knows its length.
  const ListPartials partials = queue.workspace([&](Workspace& workspace) {
    return list_partials(workspace, lists, /*num_margins=*/1, paths.longest_short,
                         /*whole_lists=*/true);
  });
  run_short_lambda(queue, args, paths.longest_short, exponents, partials);
  run_long_lambda(queue, args, exponents, partials, paths.scans && scan_factors(args));
}

}  // namespace fused_rankloss::cuda::lambda
