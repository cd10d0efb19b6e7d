// SPDX-License-Identifier: BSD-3-Clause
//
// Listwise losses of long lists, all of them in one cooperative kernel: phases over tiles with a
// barrier of the whole grid between them. listwise_long_items.cuh puts the items in order, and then
//
//   listnet      sums of each tile; these over each list; gradients
//   list_mle     l from the back, q from the front (listwise_runs.cuh), each a scan within tiles,
//                over the tiles of each list, and within tiles again
//   approx_ndcg  the maximal DCG; soft ranks and their gradients from all pairs of a list
//
// Mapping      A block a tile, over and over; the scans over the tiles of a list are one block's.
//              For soft ranks a block has kSoftRankRows rows, a thread a row, and the list's
//              columns pass through shared memory.
// Memory       32 bytes a slot; 4 for listnet
// Numerics     fp64, see listwise_runs.cuh
// Determinism  Bitwise, whatever the grid and the other lists: tiles are counted from the first
//              position of their list, one thread stores a gradient, every sum has a fixed order
#pragma once

#include <algorithm>

#include "cuda/listwise_long_items.cuh"
#include "cuda/workspace.h"

namespace fused_rankloss {

template <ListwiseLoss kLoss, typename Real>
struct LongListwiseLossShared;

template <typename Real>
struct LongListwiseLossShared<ListwiseLoss::kListNet, Real> {
  ScanShared<ListNetSums, kScanThreads> sums;
};
template <typename Real>
struct LongListwiseLossShared<ListwiseLoss::kListMle, Real> {
  ScanShared<LogSum<Real>, kScanThreads> log_sums;
  ScanShared<MleCarry, kScanThreads> carries;
};
template <typename Real>
struct LongListwiseLossShared<ListwiseLoss::kApproxNdcg, Real> {
  SharedArray<double, kSoftRankColumns> scores;
  SharedArray<double, kSoftRankColumns> slopes;
};

template <ListwiseLoss kLoss, typename Real>
class LongListwise : LongListwiseItems<kLoss, Real> {
  using Base = LongListwiseItems<kLoss, Real>;
  using typename Base::Tile;
  using LossShared = LongListwiseLossShared<kLoss, Real>;

 public:
  __device__ __forceinline__ LongListwise(const LongListwiseParams& params,
                                          LongListwiseShared& shared, LossShared& loss_shared)
      : Base(params, shared), loss_shared_(loss_shared) {}

  // All threads of the grid call this.
  __device__ __forceinline__ void solve() {
    this->place_items();
    if constexpr (kLoss == ListwiseLoss::kListNet) {
      list_net();
    } else if constexpr (kLoss == ListwiseLoss::kListMle) {
      list_mle();
    } else {
      approx_ndcg();
    }
    team_.sync();
    if (team_.rank() == 0) {
      reduce_lists<Real, kScanThreads>(reduction_args(args_), params_.partials);
    }
  }

 private:
  using Base::args_;
  using Base::params_;
  using Base::shared_;
  using Base::team_;

  // Whether a list counts; of approx_ndcg, once its maximal DCG is known.
  FRL_HD static bool counts(const ListRecord& record) {
    if (record.items.poisoned != 0) return false;
    switch (kLoss) {
      case ListwiseLoss::kListNet:
        return record.items.count > 0;
      case ListwiseLoss::kListMle:
        return record.items.varying() != 0;
      default:
        return record.maximum > 0;
    }
  }

  __device__ __forceinline__ void store_value(const ListRecord& record, double value) const {
    if (threadIdx.x != 0 || record.items.poisoned != 0) return;
    ListPartial sum;
    if (counts(record)) {
      sum.value.high = value;
      sum.pairs = 1;
    }
    this->store_sum(record, sum);
  }

  // Calls body(tile) for tiles of lists that count; the gradients of others become 0.
  template <typename Body>
  __device__ __forceinline__ void for_counted_tiles(Body&& body) const {
    this->for_tiles([&](const Tile& tile) {
      if (counts(tile.record)) {
        body(tile);
      } else if (!tile.is_poisoned()) {
        this->clear_tile(tile);
      }
    });
  }

  __device__ __forceinline__ void clear_tile(const Tile& tile) const {
#pragma unroll 1
    for (int p = 0; p < tile.run_size(); ++p) store_gradient(tile.record, tile.run() + p, 0);
  }

  __device__ __forceinline__ void store_gradient(const ListRecord& record, int64_t position,
                                                 double gradient) const {
    this->items(record).store_gradient(this->slot_at(record, position), gradient);
  }

  // ---- ListNet

  // Calls body(position, weight, score gap, label gap) for the items of the thread's run.
  template <typename Body>
  __device__ __forceinline__ void for_gaps(const Tile& tile, Body&& body) const {
    const ListRecord& record = tile.record;
    const auto items = this->items(record);
    const double top_label = label_value(record.items.top_label, args_.label_type);
#pragma unroll 1
    for (int p = 0; p < tile.run_size(); ++p) {
      const int64_t position = tile.run() + p, slot = this->slot_at(record, position);
      body(position, items.weight(slot), record.items.top_score - items.score(slot),
           top_label - items.label(slot));
    }
  }

  __device__ __forceinline__ void list_net() {
    ListNetSums* tiles = this->template cells<ListNetSums>(1);
    ListNetSums* totals = this->template cells<ListNetSums>(0);  // in the list's first cell
    for_counted_tiles([&](const Tile& tile) {
      ListNetSums own;
      for_gaps(tile, [&](int64_t, double weight, double score_gap, double label_gap) {
        own.template add<Real>(weight, score_gap, label_gap);
      });
      const auto scanned = scan_block<Sweep::kUp, kScanThreads>(loss_shared_.sums, own);
      if (threadIdx.x == 0) tiles[tile.id] = scanned.total;
    });
    team_.sync();
    this->for_lists([&](const ListRecord& record) {
      ListNetSums sums;
      if (counts(record)) {
        sums = this->template scan_states<Sweep::kUp>(loss_shared_.sums, tiles + record.first_tile,
                                                      record.num_tiles());
        if (threadIdx.x == 0) totals[record.first_tile] = sums;
      }
      store_value(record, sums.value());
    });
    if (args_.raw_grad == nullptr) return;
    team_.sync();
    for_counted_tiles([&](const Tile& tile) {
      const ListNetSums sums = totals[tile.record.first_tile];
      for_gaps(tile, [&](int64_t position, double weight, double score_gap, double label_gap) {
        store_gradient(tile.record, position,
                       sums.template gradient<Real>(weight, score_gap, label_gap));
      });
    });
  }

  // ---- ListMLE

  // The thread's run, for MleRun.
  struct MleItems {
    const LongListwise& list;
    const Tile& tile;
    PositionWeights positions;

    __device__ __forceinline__ int64_t slot(int p) const {
      return list.slot_at(tile.record, tile.run() + p);
    }
    __device__ __forceinline__ double& cell(int p) const {
      return list.params_.scores[tile.record.first + tile.run() + p];
    }
    __device__ __forceinline__ int size() const { return tile.run_size(); }
    __device__ __forceinline__ double score(int p) const {
      return list.items(tile.record).score(slot(p));
    }
    __device__ __forceinline__ double weight(int p) const {
      return positions.at(tile.run() + p, tile.record.items.count) *
             list.items(tile.record).weight(slot(p));
    }
    __device__ __forceinline__ double behind(int p) const { return cell(p); }
    __device__ __forceinline__ void store_behind(int p, double behind) const { cell(p) = behind; }
    __device__ __forceinline__ void store_gradient(int p, double gradient) const {
      list.items(tile.record).store_gradient(slot(p), gradient);
    }
  };

  __device__ __forceinline__ void list_mle() {
    using Run = MleRun<Real>;
    const PositionWeights positions = position_weights(args_);
    LogSum<Real>* log_sums = this->template cells<LogSum<Real>>(1);
    MleCarry* carries = this->template cells<MleCarry>(0);
    for_counted_tiles([&](const Tile& tile) {
      const MleItems own{*this, tile, positions};
      const auto scanned =
          scan_block<Sweep::kDown, kScanThreads>(loss_shared_.log_sums, Run::log_sum(own));
      if (threadIdx.x == 0) log_sums[tile.id] = scanned.total;
    });
    team_.sync();
    this->for_lists([&](const ListRecord& record) {
      if (!counts(record)) return;
      this->template scan_states<Sweep::kDown>(loss_shared_.log_sums, log_sums + record.first_tile,
                                               record.num_tiles());
    });
    team_.sync();
    for_counted_tiles([&](const Tile& tile) {
      const MleItems own{*this, tile, positions};
      const auto later =
          scan_block<Sweep::kDown, kScanThreads>(loss_shared_.log_sums, Run::log_sum(own));
      Run::find_behind(own, LogSum<Real>::combine(log_sums[tile.id], later.before).log_sum());
      const auto carried =
          scan_block<Sweep::kUp, kScanThreads>(loss_shared_.carries, Run::carry(own));
      if (threadIdx.x == 0) carries[tile.id] = carried.total;
    });
    team_.sync();
    this->for_lists([&](const ListRecord& record) {
      double value = 0;
      if (counts(record)) {
        value = this->template scan_states<Sweep::kUp>(
                        loss_shared_.carries, carries + record.first_tile, record.num_tiles())
                    .value;
      }
      store_value(record, value);
    });
    if (args_.raw_grad == nullptr) return;
    team_.sync();
    for_counted_tiles([&](const Tile& tile) {
      const MleItems own{*this, tile, positions};
      const auto carried =
          scan_block<Sweep::kUp, kScanThreads>(loss_shared_.carries, Run::carry(own));
      Run::store_gradients(own, MleCarry::combine(carries[tile.id], carried.before).passed);
    });
  }

  // ---- ApproxNDCG

  static constexpr int kParts = kScanTile / kSoftRankRows;

  __device__ __forceinline__ void approx_ndcg() {
    Sum* dcg = this->template cells<Sum>(1);
    Sum* values = this->template cells<Sum>(0);  // kParts a tile
    this->for_tiles([&](const Tile& tile) { prepare_soft_ranks(tile, dcg); });
    team_.sync();
    this->for_lists([&](ListRecord& record) {
      const Sum total = this->template scan_states<Sweep::kUp>(
          shared_.sums, dcg + record.first_tile, record.num_tiles());
      if (threadIdx.x == 0) record.maximum = total.value;
    });
    team_.sync();
    for_parts([&](const Tile& tile, int64_t row, bool there) {
      double* slopes = params_.slopes + tile.record.first;
      const double steps = soft_sum<false>(tile.record, there ? row : 0);
      Sum value;
      if (there) {
        const SoftRankTerm term =
            SoftRankTerm::of(slopes[row] / tile.record.maximum, soft_rank(steps));
        slopes[row] = term.slope;
        value.value = term.value;
      }
      value = scan_block<Sweep::kUp, kScanThreads>(shared_.sums, value).total;
      if (threadIdx.x == 0) {
        values[tile.record.first_tile * kParts + row / kSoftRankRows] = value;
      }
    });
    team_.sync();
    this->for_lists([&](const ListRecord& record) {
      Sum value;
      if (counts(record)) {
        const int64_t parts = (record.items.count + kSoftRankRows - 1) / kSoftRankRows;
        value = this->template scan_states<Sweep::kUp>(shared_.sums,
                                                       values + record.first_tile * kParts, parts);
      }
      store_value(record, value.value);
    });
    if (args_.raw_grad == nullptr) return;
    for_counted_tiles([](const Tile&) {});
    for_parts([&](const Tile& tile, int64_t row, bool there) {
      const double sum = soft_sum<true>(tile.record, there ? row : 0);
      if (there) store_gradient(tile.record, row, sum / args_.temperature);
    });
  }

  __device__ __forceinline__ void prepare_soft_ranks(const Tile& tile, Sum* dcg) const {
    const ListRecord& record = tile.record;
    const auto items = this->items(record);
    const double top_label = label_value(record.items.top_label, args_.label_type);
    Sum own;
#pragma unroll 1
    for (int p = 0; p < tile.run_size(); ++p) {
      const int64_t position = tile.run() + p, slot = this->slot_at(record, position);
      const double gain = items.gain(slot, top_label);
      own.value += gain * log2_discount(position + 1);
      params_.scores[record.first + position] =
          (items.score(slot) - record.items.top_score) / args_.temperature;
      params_.slopes[record.first + position] = items.weight(slot) * gain;
    }
    own = scan_block<Sweep::kUp, kScanThreads>(shared_.sums, own).total;
    if (threadIdx.x == 0) dcg[tile.id] = own;
  }

  // Calls body(tile, row, whether there is such a row) for parts of the tiles that count.
  template <typename Body>
  __device__ __forceinline__ void for_parts(Body&& body) const {
    this->template for_tile_parts<kParts>([&](const Tile& tile, int part) {
      const int64_t first = tile.index * kScanTile + part * kSoftRankRows;
      const int64_t count = tile.record.items.count, row = first + threadIdx.x;
      if (first < count && counts(tile.record)) body(tile, row, row < count);
    });
  }

  // The sum of a row over all columns of its list: soft_steps or, with kSlopes, soft_slopes.
  template <bool kSlopes>
  __device__ __forceinline__ double soft_sum(const ListRecord& record, int64_t row) const {
    const double* scores = params_.scores + record.first;
    const double* slopes = params_.slopes + record.first;
    const double score = scores[row], slope = kSlopes ? slopes[row] : 0.0;
    double sum = 0;
#pragma unroll 1
    for (int64_t first = 0; first < record.items.count; first += kSoftRankColumns) {
      const int size =
          static_cast<int>(Lists::clamp(record.items.count - first, 0, kSoftRankColumns));
      __syncthreads();  // everyone has read the columns before
      for (int column = static_cast<int>(threadIdx.x); column < size; column += kScanThreads) {
        loss_shared_.scores.store(column, scores[first + column]);
        if constexpr (kSlopes) loss_shared_.slopes.store(column, slopes[first + column]);
      }
      __syncthreads();
      if constexpr (kSlopes) {
        sum += soft_slopes<Real>(loss_shared_.scores, loss_shared_.slopes, 0, size, score, slope);
      } else {
        sum += soft_steps<Real>(loss_shared_.scores, 0, size, score);
      }
    }
    return sum;
  }

  LossShared& loss_shared_;
};

template <ListwiseLoss kLoss, typename Real>
__global__ void __launch_bounds__(kScanThreads, kListwiseBlocks)
    long_listwise_kernel(const __grid_constant__ LongListwiseParams params) {
  __shared__ LongListwiseShared shared;
  __shared__ LongListwiseLossShared<kLoss, Real> loss_shared;
  LongListwise<kLoss, Real>(params, shared, loss_shared).solve();
}

// ---- Launch ----------------------------------------------------------------

class LongListwisePlan {
 public:
  LongListwisePlan(const ListwiseArgs& args, int64_t crossover)
      : args_(args), crossover_(crossover) {}

  // Blocks that have something to do: a part of a tile for soft ranks, else a tile.
  int64_t most_blocks() const {
    const bool soft_ranks = args_.loss_kind == ListwiseLoss::kApproxNdcg;
    return most_tiles() * (soft_ranks ? kScanTile / kSoftRankRows : 1);
  }

  int64_t workspace_bytes() const {
    Workspace workspace(nullptr);
    lay_out(workspace);
    return workspace.bytes();
  }

  LongListwiseParams params(void* memory, const ListPartials& partials) const {
    Workspace workspace(memory);
    LongListwiseParams params = lay_out(workspace);
    params.partials = partials;
    return params;
  }

 private:
  // A list has less than one tile that is not full.
  int64_t most_lists() const {
    return std::min(args_.lists.num_lists, args_.lists.num_slots / (crossover_ + 1));
  }
  int64_t most_tiles() const { return args_.lists.num_slots / kScanTile + most_lists(); }

  LongListwiseParams lay_out(Workspace& workspace) const {
    const int64_t size = args_.lists.num_slots, tiles = most_tiles();
    LongListwiseParams params{};
    params.args = args_;
    params.totals = workspace.take<LongListwiseTotals>(1);
    params.records = workspace.take<ListRecord>(most_lists());
    for (std::byte*& cells : params.cells)
      cells = workspace.take<std::byte>(tiles * kTileCellBytes);
    params.indices = workspace.take<uint32_t>(size);
    if (args_.loss_kind == ListwiseLoss::kListNet) return params;
    params.keys = workspace.take<uint64_t>(size);
    params.other = workspace.take<uint32_t>(size);
    params.words =
        workspace.take<uint32_t>(TeamSort::workspace_words((size + kScanTile - 1) / kScanTile));
    params.scores = workspace.take<double>(size);
    if (args_.loss_kind == ListwiseLoss::kApproxNdcg) params.slopes = workspace.take<double>(size);
    return params;
  }

  const ListwiseArgs& args_;
  int64_t crossover_;
};

}  // namespace fused_rankloss
