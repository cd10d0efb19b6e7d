// SPDX-License-Identifier: BSD-3-Clause
//
// The steps of long_lists.cuh in their order, and the memory that they need.
#pragma once

#include <string_view>
#include <utility>

#include "cuda/long_lists.cuh"
#include "cuda/sort_buffers.h"
#include "cuda/workspace.h"
#include "losses/pair_losses.h"

namespace fused_rankloss {

template <class Term>
class LongListsPlan {
 public:
  using Real = typename Term::Real;
  using Key = ScoreKey<Real>;

  // Calls of up to `one_launch` slots are one launch; `sort_bytes` is what the radix sorts of
  // others need.
  LongListsPlan(const PairwiseArgs& args, int64_t sort_bytes, int64_t one_launch = kOneLaunchSlots)
      : args_(args), sort_bytes_(sort_bytes), one_launch_(one_launch) {}

  int64_t workspace_bytes() const {
    Workspace workspace(nullptr);
    lay_out(workspace);
    return workspace.bytes();
  }

  // Of one launch, in which the kernel prepares and sorts for itself.
  LongListsParams<Real> params(void* memory, const ListPartials& partials) const {
    Workspace workspace(memory);
    LongListsParams<Real> params = lay_out(workspace).params;
    params.partials = partials;
    params.sort_digits = SortedSlots<Key>::digits_of(args_.score_type, args_.lists.num_lists);
    return params;
  }

  // Runs everything on a Device, which is a GPU's stream or the host harness:
  //
  //   zero(memory, bytes)
  //   launch(kernel, blocks, arguments...)             blocks of kScanThreads threads
  //   launch_together(kernel, most_blocks, argument)   cooperatively: up to so many blocks
  //   sort(workspace, bytes, buffers, size, end_bit)   returns the half that holds the result
  template <class Device>
  void run(Device& device, void* memory, const ListPartials& partials) const {
    const int64_t size = args_.lists.num_slots;
    if (size <= one_launch_) {
      device.launch_together(long_lists_kernel<Term>, num_tiles(), params(memory, partials));
      return;
    }
    Workspace workspace(memory);
    Layout layout = lay_out(workspace);
    LongListsParams<Real>& params = layout.params;
    params.partials = partials;
    Order<Key>(&orders)[2] = params.orders;
    device.zero(params.levels, layout.zero_bytes);
    device.launch(prepare_kernel<Real>, num_tiles(), params);

    const SortBuffers<Key> by_score{{orders[0].keys, orders[1].keys},
                                    {orders[0].slots, orders[1].slots}};
    if (device.sort(layout.sort, sort_bytes_, by_score, size, sizeof(Key) * 8) != 0) swap(orders);
    if (args_.lists.num_lists > 1) {
      // Ranks come later; their arrays hold lists as long.
      const SortBuffers<uint32_t> by_list{{orders[0].ranks, orders[1].ranks},
                                          {orders[0].slots, orders[1].slots}};
      const int64_t blocks = (size + kScanThreads - 1) / kScanThreads;
      device.launch(list_keys_kernel<LongListsParams<Real>>, blocks, params, by_list.keys[0]);
      if (device.sort(layout.sort, sort_bytes_, by_list, size, bits_of(args_.lists.num_lists)) !=
          0) {
        swap(orders);
      }
      device.launch(score_keys_kernel<Real>, blocks, params);
    }
    device.launch_together(long_lists_kernel<Term>, num_tiles(), params);
  }

 private:
  struct Layout {
    LongListsParams<Real> params;
    int64_t zero_bytes;  // from params.levels on
    void* sort;
  };

  int64_t num_tiles() const { return (args_.lists.num_slots + kScanTile - 1) / kScanTile; }

  static int bits_of(int64_t value) {
    int bits = 0;
    for (; value > 0; value /= 2) ++bits;
    return bits;
  }

  static void swap(Order<Key> (&orders)[2]) { std::swap(orders[0], orders[1]); }

  Layout lay_out(Workspace& workspace) const {
    const int64_t tiles = num_tiles();
    const int64_t size = tiles * kScanTile;
    Layout layout{};
    LongListsParams<Real>& params = layout.params;
    params.args = args_;
    params.levels = workspace.take<LevelTable>(1);
    params.poisoned = workspace.take<uint32_t>(args_.lists.num_lists);
    params.any_long = workspace.take<uint32_t>(1);
    layout.zero_bytes = workspace.bytes();
    for (Order<Key>& order : params.orders) {
      // LabelRanks has 64-bit keys of labels where the keys begin; of fp32 scores, these and slots.
      order.keys = workspace.take<Key>(size);
      order.slots = workspace.take<uint32_t>(size);
      order.ranks = workspace.take<uint32_t>(size);
    }
    params.segments = {workspace.take<RunRecord>(tiles * kScanThreads),
                       workspace.take<TileRecord>(tiles), args_.lists.num_slots};
    params.words = workspace.take<uint32_t>(TeamSort::workspace_words(tiles) + tiles);
    if constexpr (Term::kMoments) {
      for (int sweep = 0; sweep < 2; ++sweep) {
        params.moments.checkpoints[sweep] = workspace.take<GapMoments>(size / kCheckpoint);
        params.moments.tiles[sweep] = workspace.take<SweepState>(tiles);
      }
      const int64_t sums = args_.raw_grad ? args_.num_margins * args_.lists.num_slots : 0;
      params.gradients = workspace.take<double>(sums);
    }
    layout.sort = workspace.take<char>(sort_bytes_);
    return layout;
  }

  const PairwiseArgs& args_;
  int64_t sort_bytes_;
  int64_t one_launch_;
};

template <typename Real, typename Body>
void dispatch_long_real(const PairwiseArgs& args, std::string_view loss_name, Body&& body) {
  if (args.counts) {
    body.template operator()<LongCounts<Real>>();
  } else {
    dispatch_pair_loss(loss_name, [&](auto loss) {
      body.template operator()<LongValues<decltype(loss), Real>>();
    });
  }
}

// Calls `body.operator()<Term>()` with the term for a call's long lists.
template <typename Body>
void dispatch_long_term(const PairwiseArgs& args, std::string_view loss_name, Body&& body) {
  if (args.score_type == ScoreType::kDouble) {
    dispatch_long_real<double>(args, loss_name, body);
  } else {
    dispatch_long_real<float>(args, loss_name, body);
  }
}

}  // namespace fused_rankloss
