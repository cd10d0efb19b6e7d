// SPDX-License-Identifier: BSD-3-Clause
//
// The op pairwise_forward on the CPU: check, solve list by list, reduce.
#include "bind/pairwise.h"

#include "bind/list_checks.h"
#include "cpu/lists/policy.h"
#include "cpu/lists/results.h"
#include "cpu/lists/tasks.h"
#include "cpu/pairwise/list.h"

namespace fused_rankloss::cpu::pairwise {
namespace {

// The sums of all lists, [K, B] or [B].
struct BatchSums {
  explicit BatchSums(const PairwiseArgs& args)
      : value(args.num_margins * args.lists.num_lists), lists(args.lists.num_lists) {}

  std::vector<double> value;
  std::vector<ListSums> lists;
};

// Zeroes the slots between a list's last one and the end of its row: padding that no list reads.
void clear_row_ends(const PairwiseCall& call) {
  const PairwiseArgs& args = call.args;
  if (args.raw_grad == nullptr || !args.lists.lengths) return;
  const int64_t bytes = call.raw_grad->element_size();
  for (int64_t k = 0; k < args.num_margins; ++k) {
    for (int64_t b = 0; b < args.lists.num_lists; ++b) {
      const int64_t end = args.lists.slots(b).end, row_end = (b + 1) * args.lists.width;
      std::byte* row = static_cast<std::byte*>(args.raw_grad) + k * args.lists.num_slots * bytes;
      std::fill(row + end * bytes, row + row_end * bytes, std::byte{0});
    }
  }
}

template <typename Score, typename Loss, typename Sum>
void solve_lists(const PairwiseCall& call, const ListReader<Score>& reader, BatchSums& sums) {
  using List = PairwiseList<Score, Loss, Sum>;
  const PairwiseArgs& args = call.args;
  OptionalTensor workspace;
  run_lists(
      args.lists, kSharedList, [&](int64_t slots) { return List::workspace_bytes(args, slots); },
      [&](int64_t bytes) -> std::byte* {
        if (bytes == 0) return nullptr;
        workspace = new_tensor(*call.loss, {bytes}, ScalarType::Byte);
        return static_cast<std::byte*>(workspace->mutable_data_ptr());
      },
      [&](const ThreadTeam& team, int64_t b, std::byte* memory) {
        List list(args, reader, team);
        sums.lists[b] =
            list.solve(args.lists.slots(b), memory, &sums.value[b], &args.margin_slope[b]);
      });
}

// The loss and the scale of each list's sum in it.
template <typename Real>
void reduce(const PairwiseArgs& args, const BatchSums& sums) {
  const int64_t num_lists = args.lists.num_lists;
  store_list_scales(args, sums.lists);
  Real* loss = static_cast<Real*>(args.loss);
  for (int64_t k = 0; k < args.num_margins; ++k) {
    double sum = 0;
    for (int64_t b = 0; b < num_lists; ++b) {
      const double scale = args.list_scale[b], unit = sums.lists[b].unit;
      const double term = weighted(scale, sums.value[k * num_lists + b] / unit);
      double& slope = args.margin_slope[k * num_lists + b];
      slope = scale != 0 ? slope / unit : 0;
      if (args.reduction == Reduction::kNone) loss[k * num_lists + b] = static_cast<Real>(term);
      sum += term;
    }
    if (args.reduction != Reduction::kNone) loss[k] = static_cast<Real>(sum);
  }
  for (int64_t b = 0; b < num_lists; ++b) {
    if (sums.lists[b].no_slope && args.list_scale[b] != 0) args.list_scale[b] = std::nan("");
  }
}

template <typename Score>
void solve_batch(const PairwiseCall& call, const ListReader<Score>& reader, BatchSums& sums) {
  dispatch_pair_loss(call.loss_name, [&](auto loss) {
    using Loss = decltype(loss);
    if constexpr (Loss::kSlopeIsIndicator) {
      if (call.args.counts && call.args.wide_counts) {
        return solve_lists<Score, Loss, int64_t>(call, reader, sums);
      }
      if (call.args.counts) return solve_lists<Score, Loss, int32_t>(call, reader, sums);
    }
    solve_lists<Score, Loss, double>(call, reader, sums);
  });
}

void solve(const PairwiseCall& call) {
  check_lists(call.args.lists, call.op);
  BatchSums sums(call.args);
  std::fill_n(call.args.margin_slope, sums.value.size(), 0.0);
  dispatch_scores(call.scores_dtype, call.op, [&](auto stored) {
    using Score = compute_t<decltype(stored)>;
    // With more than 2^32 slots, items need 64-bit indices, which come with 64-bit keys.
    if (call.args.lists.num_slots > UINT32_MAX) {
      solve_batch(call, ListReader<double>::create(call.args, stored), sums);
    } else {
      solve_batch(call, ListReader<Score>::create(call.args, stored), sums);
    }
  });
  clear_row_ends(call);
  if (call.scores_dtype == ScalarType::Double) {
    reduce<double>(call.args, sums);
  } else {
    reduce<float>(call.args, sums);
  }
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CPU, m) {
  m.impl("pairwise_forward", boxed<&Op<PairwiseCall, solve>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cpu::pairwise
