// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of a lambda loss over long lists in their order, and the memory that they need:
//
//   lambda_prepare_kernel   sort keys and slots of all items; poisoned lists; up to 8 levels of
//                           labels; tables by rank
//   radix sort              by score, and stably by list where there are several
//   lambda_rank_kernel      to RankedLists (lambda_items.cuh)
//   the pairs               lambda_scan_kernel (lambda_scan.cuh) where weights factor, else
//                           lambda_pairs_kernel, lambda_pieces_kernel
//   lambda_finish_kernel    to the results
//
// Memory  some 120 bytes a slot for fp32 scores, less where the scheme weighs no gains; a pair
//          reads none of it but 48 bytes a column and block
#pragma once

#include <algorithm>

#include "cuda/lambda_long_finish.cuh"
#include "cuda/lambda_long_pairs.cuh"
#include "cuda/lambda_long_prepare.cuh"
#include "cuda/lambda_long_rank.cuh"
#include "cuda/long_lists_plan.cuh"
#include "cuda/short_lists.h"

namespace fused_rankloss {

template <typename RealT>
class LambdaLongPlan {
 public:
  using Real = RealT;
  using Key = ScoreKey<Real>;

  // Lists of more than `crossover` slots are long. `sort_bytes`: what the radix sorts of so many
  // slots need.
  LambdaLongPlan(const LambdaArgs& args, int64_t crossover, int64_t sort_bytes)
      : args_(args),
        most_lists_(std::min(args.lists.num_lists, args.lists.num_slots / (crossover + 1))),
        sort_bytes_(sort_bytes) {}

  // An upper bound of how many lists are long.
  int64_t most_lists() const { return most_lists_; }

  int64_t workspace_bytes() const {
    Workspace workspace(nullptr);
    lay_out(workspace);
    return workspace.bytes();
  }

  // On a Device, see LongListsPlan::run. `run_pairs(params)` adds up the pairs: it reads
  // params.ranked_lists(), and writes their gradients and sums.
  template <class Device, typename RunPairs>
  void run(Device& device, void* memory, const ListPartials& partials, RunPairs&& run_pairs) const {
    Workspace workspace(memory);
    Layout layout = lay_out(workspace);
    LambdaLongParams<Real>& params = layout.params;
    params.partials = partials;

    device.zero(params.levels, layout.zero_bytes);
    device.launch(lambda_prepare_kernel<Real>, num_tiles(), params);
    sort(device, layout);
    device.launch_together(lambda_rank_kernel<Real>, num_tiles(), params);
    run_pairs(std::as_const(params));
    device.launch_together(lambda_finish_kernel<Real>, num_tiles(), params);
  }

  // The pairs one by one, as a step of `run`, by up to so many blocks.
  template <class Device>
  void run_direct_pairs(Device& device, const LambdaLongParams<Real>& params,
                        int64_t most_blocks = kMostPairBlocks) const {
    static_assert(kPairThreads == kScanThreads);
    dispatch_lambda_term<Real>(args_.pair_loss, [&](auto loss) {
      device.launch(lambda_pairs_kernel<decltype(loss), Real>, std::min(most_pieces(), most_blocks),
                    params);
    });
    device.launch(lambda_pieces_kernel<Real>, std::min(most_lists_, most_blocks), params);
  }

 private:
  struct Layout {
    LambdaLongParams<Real> params;
    int64_t zero_bytes;  // from params.levels on
    void* sort;
  };

  template <class Device>
  void sort(Device& device, Layout& layout) const {
    Order<Key>(&orders)[2] = layout.params.orders;
    const int64_t size = args_.lists.num_slots;
    const SortBuffers<Key> by_score{{orders[0].keys, orders[1].keys},
                                    {orders[0].slots, orders[1].slots}};
    if (device.sort(layout.sort, sort_bytes_, by_score, size, sizeof(Key) * 8) != 0) {
      std::swap(orders[0], orders[1]);
    }
    if (args_.lists.num_lists == 1) return;
    const SortBuffers<uint32_t> by_list{{orders[0].ranks, orders[1].ranks},
                                        {orders[0].slots, orders[1].slots}};
    const int64_t blocks = (size + kScanThreads - 1) / kScanThreads;
    device.launch(list_keys_kernel<LambdaLongParams<Real>>, blocks, layout.params, by_list.keys[0]);
    int bits = 0;
    while (args_.lists.num_lists >> bits != 0) ++bits;
    if (device.sort(layout.sort, sort_bytes_, by_list, size, bits) != 0) {
      std::swap(orders[0], orders[1]);
    }
  }

  int64_t num_tiles() const { return (args_.lists.num_slots + kScanTile - 1) / kScanTile; }

  int64_t most_pieces() const {
    return PairPieces::most_pieces(args_.lists.num_slots, most_lists_);
  }

  Layout lay_out(Workspace& workspace) const {
    const int64_t tiles = num_tiles(), size = tiles * kScanTile, slots = args_.lists.num_slots;
    Layout layout{};
    LambdaLongParams<Real>& params = layout.params;
    params.args = args_;
    params.longest = longest_list(args_.lists);
    params.levels = workspace.take<LevelTable>(1);
    params.table = workspace.take<LongListTable>(1);
    params.facts = workspace.take<LambdaListFacts>(args_.lists.num_lists);
    params.sums = workspace.take<PairSums>(args_.lists.num_lists);
    layout.zero_bytes = workspace.bytes();
    for (Order<Key>& order : params.orders) {
      order.keys = workspace.take<Key>(size);
      order.slots = workspace.take<uint32_t>(size);
      order.ranks = workspace.take<uint32_t>(size);
    }
    params.sort_keys = workspace.take<uint64_t>(size);
    for (uint32_t*& places : params.places) places = workspace.take<uint32_t>(size);
    params.batch_ranks = workspace.take<uint32_t>(size);
    params.label_ranks = workspace.take<uint32_t>(size);
    params.scores = workspace.take<Real>(size);
    for (double*& weights : params.weights) weights = workspace.take<double>(size);
    if (params.reads_gains() || args_.scheme == Scheme::kArp) {
      params.gains = workspace.take<double>(size);
    }
    if (params.reads_gains()) params.rank_discounts = workspace.take<double>(params.longest);
    if (args_.weighs_gains()) params.pair_discounts = workspace.take<double>(size);
    if (args_.scheme == Scheme::kNdcgLoss2 || args_.scheme == Scheme::kNdcgLoss2pp) {
      params.deltas = workspace.take<double>(params.longest + 1);
    }
    params.segments.size = slots;
    if (params.wants_statistics()) {
      params.segments.runs = workspace.take<RunRecord>(tiles * kScanThreads);
      params.segments.tiles = workspace.take<TileRecord>(tiles);
    }
    params.words = workspace.take<uint32_t>(TeamSort::workspace_words(tiles) + tiles);
    params.lists = workspace.take<LongList>(most_lists_);
    params.tiles = workspace.take<ListTotals>(slots / kScanTile + most_lists_);
    params.label_changes = workspace.take<uint32_t>(slots / kScanTile + most_lists_);
    params.piece_sums = workspace.take<PairSums>(most_pieces());
    if (args_.raw_grad != nullptr) {
      params.gradients = workspace.take<double>(size);
      params.partial_gradients = workspace.take<double>(PairPieces::most_partials(slots));
    }
    layout.sort = workspace.take<char>(sort_bytes_);
    return layout;
  }

  const LambdaArgs& args_;
  int64_t most_lists_;
  int64_t sort_bytes_;
};

// Calls `body.operator()<Real>()` with the type that a call's scores are computed in.
template <typename Body>
void dispatch_lambda_real(const LambdaArgs& args, Body&& body) {
  if (args.score_type == ScoreType::kDouble) {
    body.template operator()<double>();
  } else {
    body.template operator()<float>();
  }
}

}  // namespace fused_rankloss
