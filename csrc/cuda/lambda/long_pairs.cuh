// SPDX-License-Identifier: BSD-3-Clause
//
// Enumerates the pairs of long lists, for every scheme: O(n^2), or O(n k) with a truncation. Each
// item is a row, and its partners are columns, so each pair is visited twice. A row accumulates its
// own gradient; the row of the more relevant item also accumulates the loss.
//
// Mapping      One block per chunk (long_table.cuh), in a grid-stride loop; one row per lane. Each
//              warp processes every kPairWarps-th column.
// Memory       Columns pass through shared memory, 256 at once
// Numerics     Weights and sums in fp64; the logistic term of fp32 scores in fp32
// Determinism  Bitwise: chunks depend only on the list, and sums are combined in a fixed order
#pragma once

#include "common/weights.h"
#include "cuda/lambda/long_table.cuh"
#include "losses/logistic.h"
#include "losses/logistic_float.h"

namespace fused_rankloss::cuda::lambda {

template <typename Real>
struct PairItem {
  Real score;
  uint32_t label_rank;
  double gain;
  double discount;
  double more_weight;
  double less_weight;
};

// Sums of a row over its columns.
struct RowSums {
  double gradient = 0;
  PairSums pairs;

  FRL_HD void add(const RowSums& other) {
    gradient += other.gradient;
    pairs.add(other.pairs);
  }
};

template <typename Real>
struct PairShared {
  SharedArray<PairItem<Real>, kPairColumns> columns;
  SharedArray<RowSums, kPairThreads> rows;  // [warps, rows]
};

template <class Loss, typename Real>
class DirectPairs {
 public:
  __device__ __forceinline__ DirectPairs(PairShared<Real>& shared,
                                         const LambdaLongParams<Real>& params)
      : shared_(shared),
        params_(params),
        args_(params.args),
        ranked_(params.ranked_lists()),
        term_{params.args.sigma, params.args.margin} {}

  // All threads of the block call this.
  __device__ __forceinline__ void solve(int64_t index) {
    const LongList& list = list_with<&LongList::first_chunk>(*ranked_.long_lists, index);
    const PairChunks chunks(list, args_.both());
    const PairChunks::Chunk chunk = chunks.at(index - list.first_chunk);
    begin_ = list.begin;
    normalized_ = args_.score_normalization &&
                  ranked_.scores[begin_] != ranked_.scores[begin_ + list.size - 1];
    const RowSums own = meet_columns(chunk.rows.begin + lane_index(), chunk);
    shared_.rows.store(static_cast<int>(threadIdx.x), own);
    __syncthreads();
    if (warp_index() == 0) {  // barriers of the next chunk's columns precede its store to rows
      RowSums sums;
#pragma unroll 1
      for (int warp = 0; warp < kPairWarps; ++warp) {
        sums.add(shared_.rows.load(warp * kPairRows + lane_index()));
      }
      store_gradient(list, chunks, chunk, sums.gradient);
      store_sums(index, sums.pairs);
    }
  }

 private:
  __device__ __forceinline__ PairItem<Real> load(int64_t rank) const {
    const int64_t position = begin_ + rank;
    const bool gains = ranked_.gains != nullptr, discounts = ranked_.discounts != nullptr;
    return {ranked_.scores[position],
            ranked_.label_ranks[position],
            gains ? ranked_.gains[position] : 0,
            discounts ? ranked_.discounts[position] : 0,
            ranked_.more_weights[position],
            ranked_.less_weights[position]};
  }

  __device__ __forceinline__ RowSums meet_columns(int64_t row, const PairChunks::Chunk& chunk) {
    const bool is_row = row < chunk.rows.end;
    const PairItem<Real> item = load(is_row ? row : chunk.rows.begin);
    RowSums sums;
#pragma unroll 1
    for (int64_t first = chunk.columns.begin; first < chunk.columns.end; first += kPairColumns) {
      const int count = static_cast<int>(Lists::clamp(chunk.columns.end - first, 0, kPairColumns));
      __syncthreads();  // all threads have read the previous columns
      const int own = static_cast<int>(threadIdx.x);
      if (own < count) shared_.columns.store(own, load(first + own));
      __syncthreads();
      if (!is_row) continue;
#pragma unroll 1
      for (int column = warp_index(); column < count; column += kPairWarps) {
        meet(item, row, shared_.columns.load(column), first + column, sums);
      }
    }
    return sums;
  }

  __device__ __forceinline__ void meet(const PairItem<Real>& row, int64_t row_rank,
                                       const PairItem<Real>& column, int64_t column_rank,
                                       RowSums& sums) const {
    const bool all = args_.all_pairs();
    if (!all && row.label_rank == column.label_rank) return;
    double weight = 1;
    if (!all) {
      weight = pair_weight({row.gain, row.discount, static_cast<int32_t>(row_rank)},
                           {column.gain, column.discount, static_cast<int32_t>(column_rank)});
    }
    if (normalized_) {
      weight /= 0.01 + fabs(static_cast<double>(row.score) - static_cast<double>(column.score));
    }
    if (all || row.label_rank > column.label_rank) {
      const LambdaTerm term = Loss::term(row.score, column.score, term_);
      const double own = weight * (row.more_weight * column.less_weight);
      const double slope = weighted(own, term.slope);
      sums.pairs.value += weighted(own, term.value);
      sums.pairs.slope += slope;
      sums.gradient -= slope;
    }
    if (all || row.label_rank < column.label_rank) {
      const LambdaTerm term = Loss::term(column.score, row.score, term_);
      sums.gradient += weighted(weight * (column.more_weight * row.less_weight), term.slope);
    }
  }

  __device__ __forceinline__ double pair_weight(const LambdaItem& i, const LambdaItem& j) const {
    switch (args_.scheme) {
      case Scheme::kArp:
        return GainWeight::of(i, j, nullptr);
      case Scheme::kLambdaRank:
        return DeltaNdcgWeight::of(i, j, nullptr);
      case Scheme::kNdcgLoss2:
      case Scheme::kNdcgLoss2pp:
        return RankDistanceWeight::of(i, j, ranked_.deltas);
      default:
        return UnitWeight::of(i, j, nullptr);
    }
  }

  __device__ __forceinline__ void store_gradient(const LongList& list, const PairChunks& chunks,
                                                 const PairChunks::Chunk& chunk,
                                                 double gradient) const {
    const int64_t row = chunk.rows.begin + lane_index();
    if (row >= chunk.rows.end || ranked_.gradients == nullptr) return;
    if (chunks.segments > 1 && row < chunks.top) {
      params_.partial_gradients[list.first_partial + row * chunks.segments + chunk.segment] =
          gradient;
    } else {
      ranked_.gradients[begin_ + row] += gradient;
    }
  }

  // The first warp calls this.
  __device__ __forceinline__ void store_sums(int64_t index, PairSums sums) const {
#pragma unroll 1
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
      sums.add({__shfl_down_sync(kAllLanes, sums.value, distance),
                __shfl_down_sync(kAllLanes, sums.slope, distance)});
    }
    if (lane_index() == 0) params_.chunk_sums[index] = sums;
  }

  PairShared<Real>& shared_;
  const LambdaLongParams<Real>& params_;
  const LambdaArgs& args_;
  const RankedLists<Real> ranked_;
  const LambdaTermArgs term_;
  int64_t begin_ = 0;  // of the list
  bool normalized_ = false;
};

template <class Loss, typename Real>
__global__ void __launch_bounds__(kPairThreads, kPairBlocks)
    lambda_pairs_kernel(const __grid_constant__ LambdaLongParams<Real> params) {
  __shared__ PairShared<Real> shared;
  DirectPairs<Loss, Real> pairs(shared, params);
#pragma unroll 1
  for (int64_t chunk = blockIdx.x; chunk < params.table->num_chunks; chunk += gridDim.x) {
    pairs.solve(chunk);
  }
}

// Sums each list's chunks, and the partial gradients of rows whose columns are in several segments.
// One block per list, in a grid-stride loop.
template <typename Real>
__global__ void __launch_bounds__(kPairThreads)
    lambda_chunks_kernel(const __grid_constant__ LambdaLongParams<Real> params) {
  __shared__ SharedArray<ListPartial, kPairWarps> shared;
#pragma unroll 1
  for (int64_t row = blockIdx.x; row < params.table->size; row += gridDim.x) {
    const LongList& list = params.table->lists[row];
    const PairChunks chunks(list, params.args.both());
    ListPartial sum;
#pragma unroll 1
    for (int64_t i = threadIdx.x; i < chunks.num_chunks(); i += kPairThreads) {
      const PairSums& own = params.chunk_sums[list.first_chunk + i];
      sum.value.add(own.value);
      sum.slope += own.slope;
    }
    sum = sum_over_block<kPairThreads>(shared, sum);
    if (threadIdx.x == 0) params.sums[list.list] = {sum.value.total(), sum.slope};
    if (params.args.raw_grad == nullptr || chunks.segments == 1) continue;
#pragma unroll 1
    for (int64_t rank = threadIdx.x; rank < list.top; rank += kPairThreads) {
      double gradient = 0;
#pragma unroll 1
      for (int64_t segment = 0; segment < chunks.segments; ++segment) {
        gradient += params.partial_gradients[list.first_partial + rank * chunks.segments + segment];
      }
      params.gradients[list.begin + rank] += gradient;
    }
  }
}

// Calls `body` with the term of a call's pairs.
template <typename Real, typename Body>
void dispatch_lambda_term(PairLoss loss, Body&& body) {
  switch (loss) {
    case PairLoss::kHinge:
      return body(GapTerm<Hinge>{});
    case PairLoss::kSquaredHinge:
      return body(GapTerm<SquaredHinge>{});
    default:
      return body(
          std::conditional_t<sizeof(Real) == sizeof(double), WideLogistic, FloatLogistic>{});
  }
}

}  // namespace fused_rankloss::cuda::lambda
