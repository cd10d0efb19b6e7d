// SPDX-License-Identifier: BSD-3-Clause
//
// A call of lambda_forward on CUDA: which kernels take it.
#pragma once

#include "cuda/lambda/launchers.h"
#include "cuda/lists/partials.cuh"
#include "cuda/lists/weight_units.cuh"

namespace fused_rankloss::cuda::lambda {

// What tests choose otherwise.
struct LambdaPaths {
  int64_t longest_short = kShortLambda;
  bool scans = true;  // pairs whose weights factor, instead of comparing them
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
  // A single list may be short, too: the device alone knows its length.
  const ListPartials partials = queue.workspace([&](Workspace& workspace) {
    return list_partials(workspace, lists, /*num_margins=*/1, paths.longest_short,
                         /*whole_lists=*/true);
  });
  run_short_lambda(queue, args, paths.longest_short, exponents, partials);
  run_long_lambda(queue, args, exponents, partials, paths.scans && scan_factors(args));
}

}  // namespace fused_rankloss::cuda::lambda
