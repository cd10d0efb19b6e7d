// SPDX-License-Identifier: BSD-3-Clause
//
// The sums of the listwise losses, as States of block_scan.cuh, and what a thread does with a run
// of consecutive items. Warps, blocks and tiles of long lists put these together.
//
// listnet      with e_i = exp(y_i - max y), f_i = exp(s_i - max s)
//                value  = (sum_i w_i e_i (log sum_j f_j + max s - s_i)) / sum_j e_j
//                grad_i = (sum_j w_j e_j / sum_j e_j) f_i / sum_j f_j - w_i e_i / sum_j e_j
// list_mle     in the order of labels, l_t = log sum_{u >= t} exp(s_u), c_t = v_t w_t
//                value  = sum_t c_t (l_t - s_t)
//                grad_t = exp(s_t - l_t) q_t - c_t,  q_t = q_{t-1} exp(l_t - l_{t-1}) + c_t
//              l is a scan from the back, q one from the front, with factors <= 1.
//
// Numerics     fp64 throughout; nothing overflows at any score, and each exponential has the
//              relative error of exponential()
// Determinism  the order of every sum depends on the number of items alone
#pragma once

#include "cuda/listwise/items.cuh"

namespace fused_rankloss::cuda::listwise {

struct Sum {
  double value = 0;

  FRL_HD static Sum combine(const Sum& earlier, const Sum& later) {
    return {earlier.value + later.value};
  }
  template <typename Shuffle>
  __device__ __forceinline__ Sum shuffled(Shuffle shuffle) const {
    return {shuffle(value)};
  }
};

// ---- ListNet ---------------------------------------------------------------

struct ListNetSums {
  double tops = 0;      // items of the largest score, each of which adds 1 to the scores' sum;
  double rest = 0;      // what others add, which that might swallow
  double labels = 0;    // sum of e
  double weighted = 0;  // sum of w e
  double spread = 0;    // sum of w e (max s - s)

  template <typename Real>
  __device__ __forceinline__ void add(double weight, double score_gap, double label_gap) {
    const double target = exponential<Real>(label_gap);
    labels += target;
    weighted += weight * target;
    spread += weight * target * score_gap;
    if (score_gap == 0) {
      tops += 1;
    } else {
      rest += exponential<Real>(score_gap);
    }
  }

  __device__ __forceinline__ double value() const {
    return (weighted * log1p((tops - 1) + rest) + spread) / labels;
  }

  template <typename Real>
  __device__ __forceinline__ double gradient(double weight, double score_gap,
                                             double label_gap) const {
    return weighted / labels * (exponential<Real>(score_gap) / (tops + rest)) -
           weight * exponential<Real>(label_gap) / labels;
  }

  FRL_HD static ListNetSums combine(const ListNetSums& earlier, const ListNetSums& later) {
    return {earlier.tops + later.tops, earlier.rest + later.rest, earlier.labels + later.labels,
            earlier.weighted + later.weighted, earlier.spread + later.spread};
  }
  template <typename Shuffle>
  __device__ __forceinline__ ListNetSums shuffled(Shuffle shuffle) const {
    return {shuffle(tops), shuffle(rest), shuffle(labels), shuffle(weighted), shuffle(spread)};
  }
};

// ---- ListMLE ---------------------------------------------------------------

// log(sum) + top: of a sum of exponentials.
template <typename Real>
struct LogSum {
  double top = -kInfinity<double>;
  double sum = 0;

  FRL_HD static LogSum combine(const LogSum& earlier, const LogSum& later) {
    if (earlier.sum == 0) return later;
    if (later.sum == 0) return earlier;
    // By value: a choice of references would have to lie in memory.
    const bool rises = later.top > earlier.top;
    const double top = rises ? later.top : earlier.top, gap = fabs(later.top - earlier.top);
    const double more = rises ? later.sum : earlier.sum, less = rises ? earlier.sum : later.sum;
    return {top, more + less * exponential<Real>(gap)};
  }
  template <typename Shuffle>
  __device__ __forceinline__ LogSum shuffled(Shuffle shuffle) const {
    return {shuffle(top), shuffle(sum)};
  }
  __device__ __forceinline__ double log_sum() const { return top + log(sum); }
};

// What a stretch of the order makes of the q before it: decay * q + passed; and its part of the
// value.
struct MleCarry {
  double decay = 1;
  double passed = 0;
  double value = 0;

  FRL_HD static MleCarry combine(const MleCarry& earlier, const MleCarry& later) {
    return {earlier.decay * later.decay, earlier.passed * later.decay + later.passed,
            earlier.value + later.value};
  }
  template <typename Shuffle>
  __device__ __forceinline__ MleCarry shuffled(Shuffle shuffle) const {
    return {shuffle(decay), shuffle(passed), shuffle(value)};
  }
};

// What a thread does with consecutive items, 0 to items.size(), in the order of labels. They are of
// a class that reads score(p) and weight(p), which is c, keeps a number behind(p) for each, and
// takes the gradients.
template <typename Real>
struct MleRun {
  template <class Items>
  __device__ __forceinline__ static LogSum<Real> log_sum(const Items& items) {
    LogSum<Real> sum;
#pragma unroll 1
    for (int p = items.size() - 1; p >= 0; --p) {
      sum = LogSum<Real>::combine(sum, {items.score(p), 1});
    }
    return sum;
  }

  // Stores l_{t+1} - s_t. `log_sum`: l of what comes after the run.
  template <class Items>
  __device__ __forceinline__ static void find_behind(const Items& items, double log_sum) {
#pragma unroll 1
    for (int p = items.size() - 1; p >= 0; --p) {
      const double score = items.score(p), behind = log_sum - score;
      items.store_behind(p, behind);
      log_sum = (log_sum > score ? log_sum : score) + step(behind).tail;
    }
  }

  template <class Items>
  __device__ __forceinline__ static MleCarry carry(const Items& items) {
    MleCarry carry;
#pragma unroll 1
    for (int p = 0; p < items.size(); ++p) {
      const double behind = items.behind(p), weight = items.weight(p);
      const LogSumStep own = step(behind);
      carry = MleCarry::combine(carry, {own.decay, own.decay * weight, weight * own.term(behind)});
    }
    return carry;
  }

  // `passed`: what comes to the run.
  template <class Items>
  __device__ __forceinline__ static void store_gradients(const Items& items, double passed) {
#pragma unroll 1
    for (int p = 0; p < items.size(); ++p) {
      const double weight = items.weight(p);
      const LogSumStep own = step(items.behind(p));
      passed += weight;
      items.store_gradient(p, own.share * passed - weight);
      passed *= own.decay;
    }
  }

 private:
  __device__ __forceinline__ static LogSumStep step(double behind) {
    return LogSumStep::of(behind, exponential<Real>(fabs(behind)));
  }
};

// ---- ApproxNDCG ------------------------------------------------------------

// By what the difference of two scores is multiplied. Two scores are subtracted before anything
// else happens to them: relative to a third one, such as the largest, small differences would be
// lost.
FRL_HD double inverse_temperature(const ListwiseArgs& args) {
  constexpr double kLargest = 0x1.fffffffffffffp1023;
  const double inverse = 1 / args.temperature;
  return inverse < kLargest ? inverse : kLargest;  // times 0 it is 0
}

// The sum of sigmoid((s_j - s) scale) over the columns [0, size) of a tile.
template <typename Real, typename Columns>
__device__ __forceinline__ double soft_steps(Columns& columns, int first, int size, double score,
                                             double scale) {
  double sum = 0;
#pragma unroll 2
  for (int column = first; column < first + size; ++column) {
    sum += sigmoid<kExpDegree<Real>>((columns.load(column) - score) * scale);
  }
  return sum;
}

// The sum of (c_j - c) sigmoid'((s_j - s) scale).
template <typename Real, typename Columns>
__device__ __forceinline__ double soft_slopes(Columns& columns, Columns& slopes, int first,
                                              int size, double score, double scale, double slope) {
  double sum = 0;
#pragma unroll 2
  for (int column = first; column < first + size; ++column) {
    sum += (slopes.load(column) - slope) *
           sigmoid_slope<kExpDegree<Real>>((columns.load(column) - score) * scale);
  }
  return sum;
}

// The soft rank from the sum over all columns: an item adds 1/2 to its own.
FRL_HD double soft_rank(double steps) { return steps + 0.5; }

}  // namespace fused_rankloss::cuda::listwise
