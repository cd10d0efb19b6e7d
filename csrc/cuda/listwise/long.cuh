// SPDX-License-Identifier: BSD-3-Clause
//
// Listwise losses of long lists, all of them in one cooperative kernel: phases over tiles with a
// barrier of the whole grid between them. long_items.cuh puts the items in order, and then
//
//   listnet      sums of each tile; these over each list; gradients
//   list_mle     l from the back, q from the front (sums.cuh), each a scan within tiles,
//                over the tiles of each list, and within tiles again
//   approx_ndcg  the maximal DCG in the order of gains; then, in that of scores, soft ranks and
//                their gradients (cpu/listwise/soft_ranks.h), each a sweep up and one down
//
// Mapping      A block a tile, over and over; the scans over the tiles of a list are one block's,
//              for soft ranks a warp's (exponential_scan.cuh)
// Memory       25 bytes a slot for list_mle, 35 for approx_ndcg (37 for fp64 scores), 4 for listnet
// Numerics     fp64, see sums.cuh
// Determinism  Bitwise, whatever the grid and the other lists: tiles are counted from the first
//              position of their list, one thread stores a gradient, every sum has a fixed order
#pragma once

#include <algorithm>

#include "common/workspace.h"
#include "cuda/listwise/instances.h"
#include "cuda/listwise/launchers.h"
#include "cuda/listwise/long_items.cuh"

namespace fused_rankloss::cuda::listwise {

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
struct LongListwiseLossShared<ListwiseLoss::kApproxNdcg, Real> {};

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

  template <typename Body>
  __device__ __forceinline__ void for_sound_tiles(Body&& body) const {
    this->for_tiles([&](const Tile& tile) {
      if (!tile.is_poisoned()) body(tile);
    });
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

  static constexpr int kWarps = kScanThreads / kWarpSize;
  static_assert(kScanTile == kWarps * kPowerTile);

  // The items of a list to exponential_scan.cuh: they push 1 and, for gradients, d value / d rank.
  struct SoftRankSource {
    static constexpr int kSides = 1;

    const LongListwiseParams& params;
    const ListRecord& record;
    int features;
    double scale;

    FRL_HD double position(int64_t place) const { return params.scores[place]; }
    FRL_HD unsigned at(SweepStep sweep, int64_t place) const {
      const int64_t opening = sweep.up ? record.first : record.first + record.items.count - 1;
      return place == opening ? unsigned{kOpens} : 0u;
    }
    FRL_HD double push(SweepStep, int64_t place, int feature) const {
      return feature == 0 ? 1 : params.slopes[place];
    }
    // sum_j (c_j - c_i) sigmoid' of the distance.
    FRL_HD double query(SweepStep, int64_t place, int feature) const {
      if (features == 1 || feature == 1) return 1;
      return -params.slopes[place];
    }
  };

  __device__ __forceinline__ void approx_ndcg() {
    Sum* dcg = this->template cells<Sum>(1);
    for_sound_tiles([&](const Tile& tile) { sum_gains(tile, dcg); });
    team_.sync();
    this->for_lists([&](ListRecord& record) {
      if (record.items.poisoned != 0) return;
      const Sum total = this->template scan_states<Sweep::kUp>(
          shared_.sums, dcg + record.first_tile, record.num_tiles());
      if (threadIdx.x == 0) record.maximum = total.value;
    });
    this->sort_items(~uint64_t{0} >> (64 - 8 * sizeof(Real)));
    for_counted_tiles([&](const Tile& tile) { prepare_soft_ranks(tile); });
    team_.sync();
    Sum* values = this->template cells<Sum>(0);
    sweep(1, -1, [&](const Tile& tile, const double (&sums)[kScanRun]) {
      Sum value;
#pragma unroll
      for (int p = 0; p < kScanRun; ++p) {
        if (p >= tile.run_size()) continue;
        // An item above adds 1 - sigmoid(-distance).
        const int64_t place = tile.run() + p;
        const double rank = static_cast<double>(1 + place) + sums[p];
        double& slope = params_.slopes[tile.record.first + place];
        const SoftRankTerm term = SoftRankTerm::of(slope / tile.record.maximum, rank);
        slope = term.slope;
        value.value += term.value;
      }
      value = scan_block<Sweep::kUp, kScanThreads>(shared_.sums, value).total;
      if (threadIdx.x == 0) values[tile.id] = value;
    });
    team_.sync();
    this->for_lists([&](const ListRecord& record) {
      Sum value;
      if (counts(record)) {
        value = this->template scan_states<Sweep::kUp>(shared_.sums, values + record.first_tile,
                                                       record.num_tiles());
      }
      store_value(record, value.value);
    });
    if (args_.raw_grad == nullptr) return;
    sweep(2, 1, [&](const Tile& tile, const double (&sums)[kScanRun]) {
#pragma unroll
      for (int p = 0; p < kScanRun; ++p) {
        if (p >= tile.run_size()) continue;
        store_gradient(tile.record, tile.run() + p, sums[p] / args_.temperature);
      }
    });
  }

  // In the order of gains; leaves the keys of scores, which come next.
  __device__ __forceinline__ void sum_gains(const Tile& tile, Sum* dcg) const {
    const auto items = this->items(tile.record);
    const double top_label = label_value(tile.record.items.top_label, args_.label_type);
    Sum own;
#pragma unroll 1
    for (int p = 0; p < tile.run_size(); ++p) {
      const int64_t position = tile.run() + p, slot = this->slot_at(tile.record, position);
      own.value += items.gain(slot, top_label) * log2_discount(position + 1);
      const auto key = ordered_key(static_cast<Real>(items.score(slot)));
      params_.keys[tile.record.slots.begin + slot] = static_cast<decltype(key)>(~key);
    }
    own = scan_block<Sweep::kUp, kScanThreads>(shared_.sums, own).total;
    if (threadIdx.x == 0) dcg[tile.id] = own;
  }

  __device__ __forceinline__ void prepare_soft_ranks(const Tile& tile) const {
    const ListRecord& record = tile.record;
    const auto items = this->items(record);
    const double top_label = label_value(record.items.top_label, args_.label_type);
#pragma unroll 1
    for (int p = 0; p < tile.run_size(); ++p) {
      const int64_t position = tile.run() + p, slot = this->slot_at(record, position);
      params_.scores[record.first + position] = items.score(slot);
      params_.slopes[record.first + position] = items.weight(slot) * items.gain(slot, top_label);
    }
  }

  // A warp's part of a tile. Its first place is that of the warp's first run.
  __device__ __forceinline__ ScanTile part_of(const Tile& tile) const {
    const int64_t place = tile.index * kScanTile + warp_index() * kPowerTile;
    const int64_t end = Lists::clamp(tile.record.items.count, place, place + kPowerTile);
    return {tile.record.first + place, tile.record.first + end, tile.id * kWarps + warp_index()};
  }

  __device__ __forceinline__ SoftRankSource source_of(const ListRecord& record,
                                                      int features) const {
    return {params_, record, features, inverse_temperature(args_)};
  }

  // Calls body(tile, sums) for tiles that count: what the items of the thread's run see below them
  // and, times a sign, above them. All threads of the grid call this; those of a block come to the
  // body together.
  template <typename Body>
  __device__ __forceinline__ void sweep(int features, double sign_above, Body&& body) const {
    using Scan = ExponentialScan<SoftRankSource>;
    const ScanFunctions& functions = params_.functions[features - 1];
    for_counted_tiles([&](const Tile& tile) {
      const ScanTile part = part_of(tile);
      if (part.begin == part.end) return;
      const SoftRankSource source = source_of(tile.record, features);
#pragma unroll 1
      for (int s = 0; s < 2; ++s) {
        Scan(source, functions, params_.powers).store_tile(SweepStep{s == 0}, part);
      }
    });
    team_.sync();
    scan_parts(features, functions);
    team_.sync();
    for_counted_tiles([&](const Tile& tile) {
      const ScanTile part = part_of(tile);
      double sums[kScanRun] = {};
      if (part.begin < part.end) {
        const SoftRankSource source = source_of(tile.record, features);
#pragma unroll 1
        for (int s = 0; s < 2; ++s) {
          const bool up = s == 0;
          const RunSums seen = Scan(source, functions, params_.powers).look(SweepStep{up}, part);
          const double sign = up ? sign_above : 1;
#pragma unroll
          for (int p = 0; p < kScanRun; ++p) {
            sums[p] += sign * (up ? seen.value[p] : seen.value[kScanRun - 1 - p]);
          }
        }
      }
      body(tile, sums);
    });
  }

  // A warp has a list, a sweep, a feature and a power.
  __device__ __forceinline__ void scan_parts(int features, const ScanFunctions& functions) const {
    const int64_t tasks = int64_t{2} * features * functions.powers;
    const int64_t end = params_.totals->num_lists * tasks;
#pragma unroll 1
    for (int64_t task = team_.rank() * kWarps + warp_index(); task < end;
         task += team_.size() * kWarps) {
      const ListRecord& record = params_.records[task / tasks];
      if (!counts(record)) continue;
      const SoftRankSource source = source_of(record, features);
      ExponentialScan<SoftRankSource>(source, functions, params_.powers)
          .scan_list(static_cast<int>(task % tasks), record.first_tile * kWarps,
                     TileSums<1>::tiles_of(record.items.count));
    }
  }

  LossShared& loss_shared_;
};

template <ListwiseLoss kLoss, typename Real>
__global__ void __launch_bounds__(kScanThreads, kLongListwiseBlocks<kLoss>)
    long_listwise_kernel(const __grid_constant__ LongListwiseParams params) {
  __shared__ LongListwiseShared shared;
  __shared__ LongListwiseLossShared<kLoss, Real> loss_shared;
  LongListwise<kLoss, Real>(params, shared, loss_shared).solve();
}

// ---- Launch ----------------------------------------------------------------

template <class Series>
ScanFunctions soft_rank_functions(bool slope) {
  ScanFunctions functions;
  functions.powers = Series::kTerms;
  for (int k = 0; k < Series::kTerms; ++k) {
    functions.slope[k] = 0;
    functions.value[k] = slope ? Series::curvature(k) : Series::sigmoid(k);
  }
  return functions;
}

// `most_lists`: that may be long; a list has less than one tile that is not full.
inline LongListwiseParams lay_out_long_listwise(const ListwiseArgs& args, int64_t most_lists,
                                                int64_t most_tiles, Workspace& workspace) {
  const int64_t size = args.lists.num_slots;
  LongListwiseParams params{};
  params.args = args;
  params.totals = workspace.take<LongListwiseTotals>(1);
  params.records = workspace.take<ListRecord>(most_lists);
  for (std::byte*& cells : params.cells) {
    cells = workspace.take<std::byte>(most_tiles * kTileCellBytes);
  }
  params.indices = workspace.take<uint32_t>(size);
  if (args.loss_kind == ListwiseLoss::kListNet) return params;
  params.keys = workspace.take<uint64_t>(size);
  params.other = workspace.take<uint32_t>(size);
  params.words =
      workspace.take<uint32_t>(TeamSort::workspace_words((size + kScanTile - 1) / kScanTile));
  params.scores = workspace.take<double>(size);
  if (args.loss_kind != ListwiseLoss::kApproxNdcg) return params;
  params.slopes = workspace.take<double>(size);
  const bool wide = args.score_type == ScoreType::kDouble;
  for (const bool slope : {false, true}) {
    params.functions[slope] =
        wide ? soft_rank_functions<WideSeries>(slope) : soft_rank_functions<NarrowSeries>(slope);
  }
  params.powers = TileSums<1>::take(workspace, most_tiles * (kScanTile / kPowerTile), /*sweeps=*/2,
                                    /*features=*/2, params.functions[0].powers);
  return params;
}

template <class Queue>
void run_long_listwise(Queue& queue, const ListwiseArgs& args, const ListPartials& partials) {
  const Lists& lists = args.lists;
  const int64_t most_lists = std::min(lists.num_lists, lists.num_slots / (partials.crossover + 1));
  const int64_t most_tiles = lists.num_slots / kScanTile + most_lists;
  LongListwiseParams params = queue.workspace([&](Workspace& workspace) {
    return lay_out_long_listwise(args, most_lists, most_tiles, workspace);
  });
  params.partials = partials;
  dispatch_listwise(args, [&]<ListwiseLoss kLoss, typename Real>() {
    queue.launch_together(most_tiles, kScanThreads, long_listwise_kernel<kLoss, Real>, params);
  });
}

}  // namespace fused_rankloss::cuda::listwise
