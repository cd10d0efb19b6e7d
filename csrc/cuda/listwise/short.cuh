// SPDX-License-Identifier: BSD-3-Clause
//
// Listwise losses of short lists, one launch per batch.
//
// A list's items, without the padding between them, are in cells of shared memory: in the order of
// slots for listnet, of descending labels for list_mle, of descending gains for approx_ndcg.
// sums.cuh defines the sums over them.
//
// Mapping      A block owns consecutive lists. One warp solves each list of up to kWarpListItems
//              slots, the whole block each longer one of up to kBlockListItems. Longer lists are
//              left to long.cuh. Each thread has kListwiseRun consecutive items; for soft ranks it
//              has rows, each with all columns.
// Memory       Slots are read twice, the second time from a cache; gradients are written once.
//              Shared memory holds the order, and for soft ranks two values per item.
// Numerics     fp64, see sums.cuh
// Determinism  Bitwise. Sums depend only on the items, not on padding or other lists, and are the
//              same for a warp and a block.
#pragma once

#include "cuda/lists/shared_sort.cuh"
#include "cuda/lists/short_batch.cuh"
#include "cuda/listwise/group.cuh"
#include "cuda/listwise/instances.h"
#include "cuda/listwise/launchers.h"
#include "cuda/listwise/sums.cuh"

namespace fused_rankloss::cuda::listwise {

// ---- Parameters ------------------------------------------------------------

struct ShortListwiseParams : ShortListsEnd {
  ListwiseArgs args;
  int64_t longest;  // lists of more slots are left to long.cuh
  int32_t lists_per_block;
};

// The partials of a list without a loss, of one with a loss, and of a poisoned one.
FRL_HD ListPartial uncounted() { return {}; }
FRL_HD ListPartial counted(double value) { return {{value, 0}, 0, 1}; }
FRL_HD ListPartial poisoned() { return {{}, 0, kNan<double>}; }

// ---- One list --------------------------------------------------------------

template <ListwiseLoss kLoss, typename Real>
struct ShortListwiseShared {
  static constexpr int kThreads = ListwiseGroup::kBlockThreads;

  CellWords keys;
  SharedArray<uint16_t, kBlockListItems> slots;
  // Scores for approx_ndcg; `behind` of MleRun for list_mle.
  SharedArray<double, kLoss != ListwiseLoss::kListNet ? kBlockListItems : 1> scores;
  // First the soft rank, then d value / d rank.
  SharedArray<double, kLoss == ListwiseLoss::kApproxNdcg ? kBlockListItems : 1> slopes;
  WarpOrBlockShared group;
  SharedArray<ListPartial, kListWarps> results;  // of the block's lists
  ScanShared<ItemsState, kThreads> items;
  ScanShared<ListNetSums, kThreads> list_net;
  ScanShared<LogSum<Real>, kThreads> log_sums;
  ScanShared<MleCarry, kThreads> carries;
  ScanShared<Sum, kThreads> sums;
};

template <ListwiseLoss kLoss, typename Real>
class ShortListwise {
 public:
  using Shared = ShortListwiseShared<kLoss, Real>;

  __device__ __forceinline__ ShortListwise(const ListwiseGroup& group, Shared& shared,
                                           const ListwiseArgs& args, Range slots)
      : group_(group),
        shared_(shared),
        args_(args),
        items_{args, slots.begin},
        first_(group.thread() * kListwiseRun) {}

  __device__ __forceinline__ ListPartial solve(int size) {
    items_.clear_behind(size, group_.thread(), group_.size());
    if (size == 0) return uncounted();
    place_items(size);
    if (all_.template is_poisoned<kLoss>(args_.label_type)) {
      fill(size, kNan<double>);
      return poisoned();
    }
    if constexpr (kLoss == ListwiseLoss::kListNet) {
      return all_.count == 0 ? uncounted() : list_net();
    } else {
      if (kLoss == ListwiseLoss::kListMle && all_.varying() == 0) {
        fill(size, 0);
        return uncounted();
      }
      sort_cells(group_, shared_.keys, shared_.slots, count());
      if constexpr (kLoss == ListwiseLoss::kListMle) {
        return list_mle();
      } else {
        return approx_ndcg(size);
      }
    }
  }

 private:
  static constexpr int kRun = kListwiseRun;

  __device__ __forceinline__ int count() const { return static_cast<int>(all_.count); }
  __device__ __forceinline__ int slot_at(int position) const {
    return shared_.slots.load(group_.cell(position));
  }
  __device__ __forceinline__ double top_label() const {
    return label_value(all_.top_label, args_.label_type);
  }

  // Calls body(p, slot) for each item of the thread's run, in the order of the cells.
  template <typename Body>
  __device__ __forceinline__ void for_run(Body&& body) const {
#pragma unroll
    for (int p = 0; p < kRun; ++p) {
      if (first_ + p < count()) body(p, slot_at(first_ + p));
    }
  }

  // Stores the items in cells in the order of their slots, and reduces them to `all_`.
  __device__ __forceinline__ void place_items(int size) {
    ItemsState own;
    uint64_t keys[kRun];
    unsigned real = 0;
#pragma unroll
    for (int p = 0; p < kRun; ++p) {
      const int slot = first_ + p;
      if (slot >= size) continue;
      if (items_.is_real(slot)) {
        real |= 1u << p;
        keys[p] = items_.sort_key(slot);
        own.add(items_, slot, keys[p]);
      } else {
        items_.store_gradient(slot, 0);
      }
    }
    const auto scanned = group_.template scan<Sweep::kUp>(shared_.items, own);
    all_ = scanned.total;
    int cell = group_.cell(static_cast<int>(scanned.before.count));
#pragma unroll
    for (int p = 0; p < kRun; ++p) {
      if ((real >> p & 1u) == 0) continue;
      if constexpr (kLoss != ListwiseLoss::kListNet) shared_.keys.store(cell, keys[p]);
      shared_.slots.store(cell, static_cast<uint16_t>(first_ + p));
      ++cell;
    }
    group_.sync();
  }

  // Stores the same gradient for all items.
  __device__ __forceinline__ void fill(int size, double gradient) const {
    for (int slot = group_.thread(); slot < size; slot += group_.size()) {
      if (items_.is_real(slot)) items_.store_gradient(slot, gradient);
    }
  }

  __device__ __forceinline__ ListPartial list_net() {
    const double top_score = all_.top_score, top = top_label();
    double weights[kRun], score_gaps[kRun], label_gaps[kRun];
    ListNetSums own;
    for_run([&](int p, int slot) {
      weights[p] = items_.weight(slot);
      score_gaps[p] = top_score - items_.score(slot);
      label_gaps[p] = top - items_.label(slot);
      own.template add<Real>(weights[p], score_gaps[p], label_gaps[p]);
    });
    const ListNetSums sums = group_.template scan<Sweep::kUp>(shared_.list_net, own).total;
    if (args_.raw_grad != nullptr) {
      for_run([&](int p, int slot) {
        items_.store_gradient(
            slot, sums.template gradient<Real>(weights[p], score_gaps[p], label_gaps[p]));
      });
    }
    return counted(sums.value());
  }

  // The thread's run, as the Items of MleRun.
  struct MleItems {
    const ShortListwise& list;
    PositionWeights positions;

    __device__ __forceinline__ int size() const {
      const int rest = list.count() - list.first_;
      return rest < 0 ? 0 : (rest < kRun ? rest : kRun);
    }
    __device__ __forceinline__ double score(int p) const {
      return list.items_.score(list.slot_at(list.first_ + p));
    }
    __device__ __forceinline__ double weight(int p) const {
      const int position = list.first_ + p;
      return positions.at(position, list.count()) * list.items_.weight(list.slot_at(position));
    }
    __device__ __forceinline__ double behind(int p) const {
      return list.shared_.scores.load(list.group_.cell(list.first_ + p));
    }
    __device__ __forceinline__ void store_behind(int p, double behind) const {
      list.shared_.scores.store(list.group_.cell(list.first_ + p), behind);
    }
    __device__ __forceinline__ void store_gradient(int p, double gradient) const {
      list.items_.store_gradient(list.slot_at(list.first_ + p), gradient);
    }
  };

  __device__ __forceinline__ ListPartial list_mle() {
    using Run = MleRun<Real>;
    const MleItems own{*this, position_weights(args_)};
    const auto later = group_.template scan<Sweep::kDown>(shared_.log_sums, Run::log_sum(own));
    Run::find_behind(own, later.before.log_sum());
    const auto carried = group_.template scan<Sweep::kUp>(shared_.carries, Run::carry(own));
    if (args_.raw_grad != nullptr) Run::store_gradients(own, carried.before.passed);
    return counted(carried.total.value);
  }

  __device__ __forceinline__ ListPartial approx_ndcg(int size) {
    double gains[kRun];
    Sum own;
    for_run([&](int p, int slot) {
      gains[p] = items_.gain(slot, top_label());
      own.value += gains[p] * log2_discount(first_ + p + 1);
      shared_.scores.store(group_.cell(first_ + p), items_.score(slot));
    });
    const double maximum = group_.template scan<Sweep::kUp>(shared_.sums, own).total.value;
    if (!(maximum > 0)) {
      fill(size, 0);
      return uncounted();
    }
    group_.sync();  // all scores are stored
    const double scale = inverse_temperature(args_);
    for_rows([&](int row, double score) {
      const double steps =
          soft_steps<Real>(shared_.scores, group_.first_cell(), count(), score, scale);
      shared_.slopes.store(group_.cell(row), soft_rank(steps));
    });
    group_.sync();
    Sum value;
    for_run([&](int p, int slot) {
      const int cell = group_.cell(first_ + p);
      const SoftRankTerm term =
          SoftRankTerm::of(items_.weight(slot) * gains[p] / maximum, shared_.slopes.load(cell));
      value.value += term.value;
      shared_.slopes.store(cell, term.slope);
    });
    value = group_.template scan<Sweep::kUp>(shared_.sums, value).total;
    if (args_.raw_grad != nullptr) {
      group_.sync();  // all slopes are stored
      for_rows([&](int row, double score) {
        const double sum =
            soft_slopes<Real>(shared_.scores, shared_.slopes, group_.first_cell(), count(), score,
                              scale, shared_.slopes.load(group_.cell(row)));
        items_.store_gradient(slot_at(row), sum / args_.temperature);
      });
    }
    return counted(value.value);
  }

  template <typename Body>
  __device__ __forceinline__ void for_rows(Body&& body) const {
#pragma unroll 1
    for (int row = group_.thread(); row < count(); row += group_.size()) {
      body(row, shared_.scores.load(group_.cell(row)));
    }
  }

  const ListwiseGroup& group_;
  Shared& shared_;
  const ListwiseArgs& args_;
  ListItems<kLoss, Real> items_;
  int first_;
  ItemsState all_;
};

// ---- Kernel ----------------------------------------------------------------

template <ListwiseLoss kLoss, typename Real>
__global__ void __launch_bounds__(ListwiseGroup::kBlockThreads, kListwiseBlocks)
    short_listwise_kernel(const __grid_constant__ ShortListwiseParams params) {
  __shared__ ShortListwiseShared<kLoss, Real> shared;

  const ListwiseArgs& args = params.args;
  const BlockLists own = lists_of_block(args.lists, blockIdx.x, params.lists_per_block);
  for_short_lists(args.lists, own, params.longest, [&](bool is_block, int i, const Range& slots) {
    const ListwiseGroup group(shared.group, is_block);
    const ListPartial sum = ShortListwise<kLoss, Real>(group, shared, args, slots)
                                .solve(static_cast<int>(slots.size()));
    if (group.thread() == 0) shared.results.store(i, sum);
  });
  end_short_lists<Real>(params, reduction_args(args), 0, own, params.longest, shared.results,
                        gridDim.x);
}

// ---- Launch ----------------------------------------------------------------

template <class Queue>
void run_short_listwise(Queue& queue, const ListwiseArgs& args, int64_t longest,
                        const ListPartials& partials) {
  const ShortListsGrid grid(args.lists);
  const ShortListwiseParams params{short_lists_end(queue, partials, grid.num_blocks), args, longest,
                                   grid.lists_per_block};
  dispatch_listwise(args, [&]<ListwiseLoss kLoss, typename Real>() {
    queue.launch(grid.num_blocks, ListwiseGroup::kBlockThreads, short_listwise_kernel<kLoss, Real>,
                 params);
  });
}

}  // namespace fused_rankloss::cuda::listwise
