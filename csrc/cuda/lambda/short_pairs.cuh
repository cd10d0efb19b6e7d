// SPDX-License-Identifier: BSD-3-Clause
//
// Enumerates the pairs of a list in cells (short_items.cuh).
//
// Every item is a row; its partners are columns. As the more relevant item it has the columns with
// lower labels, for the pair's value and slope. As the less relevant item it has the columns with
// higher labels, for the slope only. Each pair is evaluated twice, and only one thread adds to a
// gradient. Adding to the column's gradient too would save about 40 instructions per pair, but
// costs ten shuffles to move data between lanes.
//
// Mapping      One thread per row; in lists of up to 16 items several lanes share a row. With a
//              truncation, the top rows have all columns and up to 32 lanes each, while the many
//              other rows have the columns of the top: 2 n k pairs, evenly distributed.
// Numerics     Loss computes a pair's value and slope in fp32 or fp64; weights and all sums are
//              fp64.
#pragma once

#include "common/weights.h"
#include "cuda/lambda/short_items.cuh"
#include "losses/logistic.h"
#include "losses/logistic_float.h"

namespace fused_rankloss::cuda::lambda {

// A row or column.
struct Member {
  double weight;
  LambdaItem item;
};

// Pair weights in the cases that need the fewest instructions: no item weights, no normalisation by
// scores, schemes none and lambdarank only.
template <class SchemeWeight>
struct PlainWeight {
  static constexpr bool kHasGains = !std::is_same_v<SchemeWeight, UnitWeight>;
  static constexpr bool kAny = false;

  __device__ __forceinline__ PlainWeight(const LambdaArgs&, CellWords&, int, bool) {}

  __device__ __forceinline__ double pair(const Member&, const Member&) const { return 1; }
  __device__ __forceinline__ double lambda(const Member& more, const Member& less, double) const {
    return SchemeWeight::of(more.item, less.item, nullptr);
  }
};

// Pair weights in all other cases.
struct AnyWeight {
  static constexpr bool kHasGains = true;
  static constexpr bool kAny = true;

  __device__ __forceinline__ AnyWeight(const LambdaArgs& args, CellWords& words, int first,
                                       bool normalized)
      : args_(args), words_(words), first_(first), normalized_(normalized) {}

  // The weight of a difference of ranks, see RankDistanceWeight.
  __device__ __forceinline__ double operator[](int distance) const {
    const double discount = bit_cast<double>(words_.load(first_ + distance - 1));
    const double next = bit_cast<double>(words_.load(first_ + distance));
    return args_.delta_factor() * fabs(discount - next);
  }

  // The product of item weights, without the scheme's factor.
  __device__ __forceinline__ double pair(const Member& more, const Member& less) const {
    return args_.preferred ? more.weight : more.weight * less.weight;
  }

  __device__ __forceinline__ double lambda(const Member& more, const Member& less,
                                           double gap) const {
    const double weight = pair(more, less) * scheme(more.item, less.item);
    return normalized_ ? weight / (0.01 + fabs(gap)) : weight;
  }

 private:
  __device__ __forceinline__ double scheme(const LambdaItem& more, const LambdaItem& less) const {
    switch (args_.scheme) {
      case Scheme::kNone:
        return 1;
      case Scheme::kArp:
        return GainWeight::of(more, less, nullptr);
      case Scheme::kNdcgLoss1:
        return more.gain * more.discount;
      case Scheme::kLambdaRank:
        return DeltaNdcgWeight::of(more, less, nullptr);
      default:
        return RankDistanceWeight::of(more, less, *this);
    }
  }

  const LambdaArgs& args_;
  CellWords& words_;
  const int first_;
  const bool normalized_;
};

// Sums of a row.
struct RoleSums {
  GroupSums more;   // as the more relevant item
  double less = 0;  // slopes as the less relevant one
};

template <class Loss, typename Real>
class LambdaRows {
 public:
  __device__ __forceinline__ LambdaRows(const LambdaArgs& args, const WarpOrBlock& group,
                                        LambdaCells<Real>& cells, const ShortSlots& slots,
                                        const ShortItems& items)
      : args_(args),
        group_(group),
        cells_(cells),
        slots_(slots),
        items_(items),
        first_(group.first_cell()),
        term_args_{args.sigma, args.margin} {
    plan();
  }

  // The sums over all pairs of the list, in all threads; gradients stay in registers.
  __device__ __forceinline__ GroupSums solve() {
    const bool normalized = args_.score_normalization && items_.spread;
    GroupSums sums;
    if (args_.weights != nullptr || normalized) {
      sums = solve<AnyWeight>(normalized);
    } else if (args_.scheme == Scheme::kNone) {
      sums = solve<PlainWeight<UnitWeight>>(false);
    } else if (args_.scheme == Scheme::kLambdaRank) {
      sums = solve<PlainWeight<DeltaNdcgWeight>>(false);
    } else {
      sums = solve<AnyWeight>(false);
    }
    return sums;
  }

  // Writes the gradients, times `factor`: NaN for all items of a poisoned list.
  __device__ __forceinline__ void store_gradients(double factor) const {
    Real* out = static_cast<Real*>(args_.raw_grad);
    if (out == nullptr) return;
    const bool poisoned = factor != factor;
    const auto store = [&](int cell, double gradient) {
      out[slots_.begin + cells_.places.load(first_ + cell).slot] =
          static_cast<Real>(poisoned ? factor : factor * gradient);
    };
#pragma unroll
    for (int r = 0; r <= kOwn; ++r) {
      const Pass pass = r == kOwn ? top_rows_ : other_rows_;
      const int cell = pass.row(group_.thread() + (r % kOwn) * group_.size());
      if (cell < pass.end && pass.share(group_.thread()) == 0) store(cell, gradients_[r]);
    }
#pragma unroll 1
    for (int cell = items_.size + group_.thread(); cell < items_.n; cell += group_.size()) {
      store(cell, 0);
    }
  }

  // Twice the number of the thread's pairs in the right order, of all ranks; ties count half.
  __device__ __forceinline__ int count_ordered() const {
    int twice = 0;
#pragma unroll 1
    for (int cell = group_.thread(); cell < items_.n; cell += group_.size()) {
      const int grade = static_cast<int>(cells_.places.load(first_ + cell).grade);
      const Real score = cells_.items.load(first_ + cell).score;
#pragma unroll 1
      for (int part = 0; part < 2; ++part) {
        const int begin = part == 0 ? 0 : items_.top;
        const int end = first_of_grade(begin, part == 0 ? items_.top : items_.n, grade);
#pragma unroll 4
        for (int column = begin; column < end; ++column) {
          const Real other = cells_.items.load(first_ + column).score;
          twice += (score > other) + (score >= other);
        }
      }
    }
    return twice;
  }

 private:
  static constexpr int kOwn = WarpOrBlock::kOwn;

  // Rows [begin, end), 2^log_lanes threads each.
  struct Pass {
    int begin;
    int end;
    int log_lanes;

    __device__ __forceinline__ int lanes() const { return 1 << log_lanes; }
    __device__ __forceinline__ int row(int thread) const { return begin + (thread >> log_lanes); }
    __device__ __forceinline__ int share(int thread) const { return thread & (lanes() - 1); }
  };

  // log2 of the lanes per row: up to 32 if there are enough threads. Depends only on the list, not
  // on whether a warp or a block solves it.
  __device__ __forceinline__ int log_lanes_for(int rows) const {
    const int threads = items_.n <= kWarpListItems ? kWarpSize : WarpOrBlock::kBlockThreads;
    int log_lanes = 5;
    while (log_lanes > 0 && rows << log_lanes > threads) --log_lanes;
    return log_lanes;
  }

  // The top rows have a separate pass if they are few.
  __device__ __forceinline__ void plan() {
    const int log_lanes = log_lanes_for(items_.size);
    const int log_top_lanes = log_lanes_for(items_.top);
    const bool apart = items_.top < items_.size && log_top_lanes > log_lanes;
    top_rows_ = {0, apart ? items_.top : 0, log_top_lanes};
    other_rows_ = {apart ? items_.top : 0, items_.size, log_lanes};
  }

  template <class Weight>
  __device__ __forceinline__ GroupSums solve(bool normalized) {
    const Weight weight(args_, cells_.words, first_, normalized);
    // The top rows come first. For lists that fit a warp, a block also assigns them to 32 threads.
    // So a warp and a block add each lane's rows in the same order.
    GroupSums sums;
#pragma unroll 1
    for (int p = 0; p < 2; ++p) {
      const bool is_top = p == 0;
      const int first = is_top ? top_rows_.begin : other_rows_.begin;
      const int end = is_top ? top_rows_.end : other_rows_.end;
      const Pass pass{first, end, is_top ? top_rows_.log_lanes : other_rows_.log_lanes};
      const int step = group_.size() >> pass.log_lanes;
      int round = is_top ? kOwn : 0;
#pragma unroll 1
      for (int begin = pass.begin; begin < pass.end; begin += step, ++round) {
        const int cell = begin + (group_.thread() >> pass.log_lanes);
        const int share = pass.share(group_.thread());
        RoleSums row;
        if (cell < pass.end) solve_row(weight, cell, share, pass.lanes(), row);
        row.more = sum_of_lanes(row.more, pass.lanes());
        row.less = sum_of_lanes({row.less, 0, 0}, pass.lanes()).value;
        if (share == 0) sums.add(row.more);
#pragma unroll
        for (int r = 0; r <= kOwn; ++r) {
          if (r == round) gradients_[r] = row.less - row.more.slope;
        }
      }
    }
    return sum_of_group(group_, cells_.words, sums);
  }

  // Adds the pairs of a row with every lanes-th column, from `share` on.
  template <class Weight>
  __device__ __forceinline__ void solve_row(const Weight& weight, int cell, int share, int lanes,
                                            RoleSums& sums) const {
    const Real score = cells_.items.load(first_ + cell).score;
    const Member row = member<Weight>(cell);
    const int grade = static_cast<int>(cells_.places.load(first_ + cell).grade);
    const int parts = cell < items_.top && items_.top < items_.size ? 2 : 1;
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      const int begin = part == 0 ? 0 : items_.top;
      const int end = part == 0 ? items_.top : items_.size;
      const int lower = args_.all_pairs() ? end : first_of_grade(begin, end, grade);
      const int higher = args_.all_pairs() ? begin : first_of_grade(lower, end, grade + 1);
#pragma unroll 2
      for (int column = begin + share; column < lower; column += lanes) {
        const Real other = cells_.items.load(first_ + column).score;
        const Member less = member<Weight>(column);
        const LambdaTerm term = Loss::term(score, other, term_args_);
        const double lambda = weight.lambda(row, less, gap(score, other));
        sums.more.value += weighted(lambda, term.value);
        sums.more.slope += weighted(lambda, term.slope);
        if constexpr (Weight::kAny) sums.more.pairs += weight.pair(row, less);
      }
      if (!Weight::kAny && share == 0) sums.more.pairs += lower - begin;
#pragma unroll 2
      for (int column = higher + share; args_.raw_grad != nullptr && column < end;
           column += lanes) {
        const Real other = cells_.items.load(first_ + column).score;
        const LambdaTerm term = Loss::term(other, score, term_args_);
        const double lambda = weight.lambda(member<Weight>(column), row, gap(score, other));
        sums.less += weighted(lambda, term.slope);
      }
      // The difference of two equal infinities is undefined. Infinite scores are rare, so a second
      // loop over the columns costs less than a check in every pair.
#pragma unroll 1
      for (int column = is_finite(score) ? end : begin; column < end; ++column) {
        const bool is_pair = column < lower || column >= higher;
        if (is_pair && cells_.items.load(first_ + column).score == score) {
          sums.more.pairs = kNan<double>;
        }
      }
    }
  }

  __device__ __forceinline__ static double gap(Real a, Real b) {
    return static_cast<double>(a) - static_cast<double>(b);
  }

  template <class Weight>
  __device__ __forceinline__ Member member(int cell) const {
    Member member{1, {0, 0, 0}};
    if constexpr (Weight::kHasGains) {
      const CellItem<Real> item = cells_.items.load(first_ + cell);
      member.item.gain = item.gain;
      if constexpr (Weight::kAny) {
        member.weight = item.weight;
        member.item.rank = static_cast<int32_t>(cells_.places.load(first_ + cell).rank);
      }
      if (!Weight::kAny || args_.weighs_gains()) {
        member.item.discount = bit_cast<double>(cells_.discounts.load(first_ + cell));
      }
    }
    return member;
  }

  // The first cell of a sorted range whose grade is at least `grade`.
  __device__ __forceinline__ int first_of_grade(int begin, int end, int grade) const {
    return first_that(begin, end, [&](int cell) {
      return static_cast<int>(cells_.places.load(first_ + cell).grade) >= grade;
    });
  }

  const LambdaArgs& args_;
  const WarpOrBlock& group_;
  LambdaCells<Real>& cells_;
  const ShortSlots& slots_;
  const ShortItems& items_;
  const int first_;
  const LambdaTermArgs term_args_;
  Pass top_rows_;
  Pass other_rows_;
  double gradients_[kOwn + 1] = {};
};

}  // namespace fused_rankloss::cuda::lambda
