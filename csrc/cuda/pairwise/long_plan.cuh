// SPDX-License-Identifier: BSD-3-Clause
//
// The launches of long.cuh in order, and their workspace.
#pragma once

#include "common/workspace.h"
#include "cuda/pairwise/launchers.h"
#include "cuda/pairwise/long.cuh"
#include "losses/pair_losses.h"

namespace fused_rankloss::cuda::pairwise {

template <class Term>
struct LongListsPlan {
  using Real = typename Term::Real;
  using Key = ScoreKey<Real>;
  using Params = LongListsParams<Real>;

  const PairwiseArgs& args;
  const ListPartials& partials;

  int64_t num_tiles() const { return (args.lists.num_slots + kScanTile - 1) / kScanTile; }

  template <class Queue>
  void run(Queue& queue, int64_t one_launch) const {
    const int64_t size = args.lists.num_slots;
    Params params = queue.workspace([this](Workspace& workspace) { return lay_out(workspace); });
    if (size <= one_launch) {
      params.sort_digits = SortedSlots<Key>::digits_of(args.score_type, args.lists.num_lists);
    } else {
      queue.zero(params.grades, 1);
      queue.zero(params.poisoned, args.lists.num_lists);
      queue.zero(params.any_long, 1);
      queue.launch(num_tiles(), kScanThreads, prepare_kernel<Real>, params);
      launch_slot_sorts(queue, params);
      if (args.lists.num_lists > 1) {
        queue.launch((size + kScanThreads - 1) / kScanThreads, kScanThreads,
                     score_keys_kernel<Real>, params);
      }
    }
    queue.launch_cooperative(num_tiles(), kScanThreads, long_lists_kernel<Term>, params);
  }

 private:
  Params lay_out(Workspace& workspace) const {
    const int64_t tiles = num_tiles();
    const int64_t size = tiles * kScanTile;
    Params params{};
    params.args = args;
    params.partials = partials;
    params.grades = workspace.take<GradeTable>(1);
    params.poisoned = workspace.take<uint32_t>(args.lists.num_lists);
    params.any_long = workspace.take<uint32_t>(1);
    for (Order<Key>& order : params.orders) {
      // LabelRanks stores 64-bit label keys from the beginning of `keys` on. With fp32 scores these
      // extend over `slots`.
      order.keys = workspace.take<Key>(size);
      order.slots = workspace.take<uint32_t>(size);
      order.ranks = workspace.take<uint32_t>(size);
    }
    params.segments = {workspace.take<RunRecord>(tiles * kScanThreads),
                       workspace.take<TileRecord>(tiles), args.lists.num_slots};
    params.words = workspace.take<uint32_t>(GridRadixSort::workspace_words(tiles) + tiles);
    if constexpr (Term::kMoments) {
      for (int sweep = 0; sweep < 2; ++sweep) {
        params.moments.checkpoints[sweep] = workspace.take<GapMoments>(size / kCheckpoint);
        params.moments.tiles[sweep] = workspace.take<SweepState>(tiles);
      }
      const int64_t sums = args.raw_grad ? args.num_margins * args.lists.num_slots : 0;
      params.gradients = workspace.take<double>(sums);
    }
    return params;
  }
};

// Calls `body.operator()<Term>()` with the term of a call's long lists.
template <typename Body>
void dispatch_long_term(const PairwiseArgs& args, std::string_view loss_name, Body&& body) {
  const auto dispatch = [&]<typename Real>() {
    if (args.counts) return body.template operator()<LongCounts<Real>>();
    dispatch_pair_loss(loss_name, [&](auto loss) {
      body.template operator()<LongValues<decltype(loss), Real>>();
    });
  };
  if (args.score_type == ScoreType::kDouble) {
    dispatch.template operator()<double>();
  } else {
    dispatch.template operator()<float>();
  }
}

template <class Queue>
void run_long_lists(Queue& queue, const PairwiseArgs& args, std::string_view loss_name,
                    const ListPartials& partials, int64_t one_launch) {
  dispatch_long_term(args, loss_name, [&]<class Term>() {
    LongListsPlan<Term>{args, partials}.run(queue, one_launch);
  });
}

}  // namespace fused_rankloss::cuda::pairwise
