// SPDX-License-Identifier: BSD-3-Clause
//
// Listwise losses of short lists, one launch a batch.
//
// A list's items, without the padding between them, take cells of shared memory: in the order of
// their slots for listnet, of labels from the top for list_mle, of gains from the top for
// approx_ndcg. sums.cuh says what is summed over them.
//
// Mapping      A block owns consecutive lists. A list of up to kWarpListItems slots is one warp's,
//              a longer one the whole block's, up to kBlockListItems; whatever is longer is left to
//              long.cuh. A thread has kListwiseRun consecutive items; for soft ranks it
//              has rows, each of which meets all columns.
// Memory       Slots are read twice, the second time from a cache; gradients are written once.
//              Shared memory holds the order, and for soft ranks two numbers an item.
// Numerics     fp64, see sums.cuh
// Determinism  Bitwise. Sums depend on the items alone, not on the padding or on other lists, and
//              are the same for a warp and a block.
#pragma once

#include "cuda/lists/shared_sort.cuh"
#include "cuda/lists/short_batch.cuh"
#include "cuda/listwise/instances.h"
#include "cuda/listwise/launchers.h"
#include "cuda/listwise/sums.cuh"
#include "cuda/listwise/team.cuh"

namespace fused_rankloss::cuda::listwise {

// ---- Parameters ------------------------------------------------------------

struct ShortListwiseParams : ShortListsEnd {
  ListwiseArgs args;
  int64_t longest;  // slots of a list, of those that are not left to others
  int32_t lists_per_block;
};

// A list that does not count, one that does, and one that is poisoned.
FRL_HD ListPartial uncounted() { return {}; }
FRL_HD ListPartial counted(double value) { return {{value, 0}, 0, 1}; }
FRL_HD ListPartial poisoned() { return {{}, 0, kNan<double>}; }

// ---- One list --------------------------------------------------------------

template <ListwiseLoss kLoss, typename Real>
struct ShortListwiseShared {
  static constexpr int kThreads = ListwiseTeam::kBlockThreads;

  CellWords keys;
  SharedArray<uint16_t, kBlockListItems> slots;
  // Of approx_ndcg; of list_mle what MleRun keeps.
  SharedArray<double, kLoss != ListwiseLoss::kListNet ? kBlockListItems : 1> scores;
  // At first the soft rank, then d value / d rank.
  SharedArray<double, kLoss == ListwiseLoss::kApproxNdcg ? kBlockListItems : 1> slopes;
  ListTeamShared team;
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

  __device__ __forceinline__ ShortListwise(const ListwiseTeam& team, Shared& shared,
                                           const ListwiseArgs& args, Range slots)
      : team_(team),
        shared_(shared),
        args_(args),
        items_{args, slots.begin},
        first_(team.thread() * kListwiseRun) {}

  __device__ __forceinline__ ListPartial solve(int size) {
    items_.clear_behind(size, team_.thread(), team_.size());
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
      sort_cells(team_, shared_.keys, shared_.slots, count());
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
    return shared_.slots.load(team_.cell(position));
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

  // Gives the items cells in the order of their slots, and sees what they have in common.
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
    const auto scanned = team_.template scan<Sweep::kUp>(shared_.items, own);
    all_ = scanned.total;
    int cell = team_.cell(static_cast<int>(scanned.before.count));
#pragma unroll
    for (int p = 0; p < kRun; ++p) {
      if ((real >> p & 1u) == 0) continue;
      if constexpr (kLoss != ListwiseLoss::kListNet) shared_.keys.store(cell, keys[p]);
      shared_.slots.store(cell, static_cast<uint16_t>(first_ + p));
      ++cell;
    }
    team_.sync();
  }

  // The gradient of all items.
  __device__ __forceinline__ void fill(int size, double gradient) const {
    for (int slot = team_.thread(); slot < size; slot += team_.size()) {
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
    const ListNetSums sums = team_.template scan<Sweep::kUp>(shared_.list_net, own).total;
    if (args_.raw_grad != nullptr) {
      for_run([&](int p, int slot) {
        items_.store_gradient(
            slot, sums.template gradient<Real>(weights[p], score_gaps[p], label_gaps[p]));
      });
    }
    return counted(sums.value());
  }

  // The thread's run, for MleRun.
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
      return list.shared_.scores.load(list.team_.cell(list.first_ + p));
    }
    __device__ __forceinline__ void store_behind(int p, double behind) const {
      list.shared_.scores.store(list.team_.cell(list.first_ + p), behind);
    }
    __device__ __forceinline__ void store_gradient(int p, double gradient) const {
      list.items_.store_gradient(list.slot_at(list.first_ + p), gradient);
    }
  };

  __device__ __forceinline__ ListPartial list_mle() {
    using Run = MleRun<Real>;
    const MleItems own{*this, position_weights(args_)};
    const auto later = team_.template scan<Sweep::kDown>(shared_.log_sums, Run::log_sum(own));
    Run::find_behind(own, later.before.log_sum());
    const auto carried = team_.template scan<Sweep::kUp>(shared_.carries, Run::carry(own));
    if (args_.raw_grad != nullptr) Run::store_gradients(own, carried.before.passed);
    return counted(carried.total.value);
  }

  __device__ __forceinline__ ListPartial approx_ndcg(int size) {
    double gains[kRun];
    Sum own;
    for_run([&](int p, int slot) {
      gains[p] = items_.gain(slot, top_label());
      own.value += gains[p] * log2_discount(first_ + p + 1);
      shared_.scores.store(team_.cell(first_ + p), items_.score(slot));
    });
    const double maximum = team_.template scan<Sweep::kUp>(shared_.sums, own).total.value;
    if (!(maximum > 0)) {
      fill(size, 0);
      return uncounted();
    }
    team_.sync();  // scores
    const double scale = inverse_temperature(args_);
    for_rows([&](int row, double score) {
      const double steps =
          soft_steps<Real>(shared_.scores, team_.first_cell(), count(), score, scale);
      shared_.slopes.store(team_.cell(row), soft_rank(steps));
    });
    team_.sync();
    Sum value;
    for_run([&](int p, int slot) {
      const int cell = team_.cell(first_ + p);
      const SoftRankTerm term =
          SoftRankTerm::of(items_.weight(slot) * gains[p] / maximum, shared_.slopes.load(cell));
      value.value += term.value;
      shared_.slopes.store(cell, term.slope);
    });
    value = team_.template scan<Sweep::kUp>(shared_.sums, value).total;
    if (args_.raw_grad != nullptr) {
      team_.sync();  // slopes
      for_rows([&](int row, double score) {
        const double sum =
            soft_slopes<Real>(shared_.scores, shared_.slopes, team_.first_cell(), count(), score,
                              scale, shared_.slopes.load(team_.cell(row)));
        items_.store_gradient(slot_at(row), sum / args_.temperature);
      });
    }
    return counted(value.value);
  }

  template <typename Body>
  __device__ __forceinline__ void for_rows(Body&& body) const {
#pragma unroll 1
    for (int row = team_.thread(); row < count(); row += team_.size()) {
      body(row, shared_.scores.load(team_.cell(row)));
    }
  }

  const ListwiseTeam& team_;
  Shared& shared_;
  const ListwiseArgs& args_;
  ListItems<kLoss, Real> items_;
  int first_;
  ItemsState all_;
};

// ---- Kernel ----------------------------------------------------------------

template <ListwiseLoss kLoss, typename Real>
__global__ void __launch_bounds__(ListwiseTeam::kBlockThreads, kListwiseBlocks)
    short_listwise_kernel(const __grid_constant__ ShortListwiseParams params) {
  __shared__ ShortListwiseShared<kLoss, Real> shared;

  const ListwiseArgs& args = params.args;
  const BlockLists own = lists_of_block(args.lists, blockIdx.x, params.lists_per_block);
  for_short_lists(args.lists, own, params.longest, [&](bool is_block, int i, const Range& slots) {
    const ListwiseTeam team(shared.team, is_block);
    const ListPartial sum =
        ShortListwise<kLoss, Real>(team, shared, args, slots).solve(static_cast<int>(slots.size()));
    if (team.thread() == 0) shared.results.store(i, sum);
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
    queue.launch(grid.num_blocks, ListwiseTeam::kBlockThreads, short_listwise_kernel<kLoss, Real>,
                 params);
  });
}

}  // namespace fused_rankloss::cuda::listwise
