// SPDX-License-Identifier: BSD-3-Clause
//
// The inner loops of the lambda losses and of soft ranks: direct pairs, and the recurrences of the
// exponential scan. The same source (lambda_loops.inl) is compiled once per instruction set, as
// pair_loops.h is, and gives the same bits on each: fp64 throughout, sums in eight fixed lanes,
// products and sums rounded separately.
#pragma once

#include <cstdint>

#include "common/weights.h"
#include "losses/lambda_terms.h"
#include "losses/lambda_weights.h"

namespace fused_rankloss::cpu {

// The arrays of less relevant items are padded with this many elements, whose values do not matter.
inline constexpr int64_t kSidePadding = 8;

// Items of a list in one role, more or less relevant; arrays are [size].
struct LambdaSide {
  int64_t size;
  double* score;
  double* gain;
  double* discount;
  double* weight;  // in this role
  double* grad;    // accumulates d / d score, over sigma for the logistic loss
  int32_t* rank;
};

struct LambdaPairs {
  LambdaSide more;
  LambdaSide less;
  const int32_t* counts;  // [more.size]: item i forms pairs with the first counts[i] of `less`
  const double* delta;    // [ranks], see RankDistanceWeight
  LambdaTermArgs term;
};

struct LambdaSums {
  double value = 0;
  double slope = 0;  // sum of -d value / d D, over sigma for the logistic loss

  void add(const LambdaSums& other) {
    value += other.value;
    slope += other.slope;
  }
};

// The largest number of events in a block, which stays in the L1 cache.
inline constexpr int64_t kScanEvents = 64;

// Exponentials exp(-k x), k = 1 .. kTerms, of each of kLanes quantities.
inline constexpr int kMaxScanLanes = 8;
inline constexpr int kMaxScanRows = 3 + 22;

// The state of a scan, [rows][lanes]: sums over the items passed so far. Row 0 sums what they
// pushed. The other rows sum the same times the distance from here (row 1), its square (row 2,
// without exponentials), and exp(-k distance) (rows 3 ..).
struct ScanState {
  double rows[kMaxScanRows * kMaxScanLanes] = {};
};

// The query of an event over the items before it returns [events][4][lanes]: rows 0 and 1 of the
// state, and two sums of exponentials, or row 2.
struct ScanBlock {
  int64_t size;            // events, <= kScanEvents
  const double* distance;  // [size] from the event before, >= 0
  const double* push;      // [size][lanes]
  double* out;             // [size][4][lanes], or null
};

enum class LossLoop { kNarrowLogistic, kWideLogistic, kHinge, kSquaredHinge };
enum class WeightLoop { kUnit, kGain, kDeltaNdcg, kRankDistance };
enum class ScanTerms { kMoments, kNarrow, kWide };

struct LambdaLoops {
  // Sums the pairs, and adds their gradients to both sides. [loss][weight][score_normalization].
  using SumPairs = LambdaSums (*)(const LambdaPairs& pairs);
  SumPairs sum_pairs[4][4][2];

  // Advances the state by the events of a block. `series` [2][terms] holds the coefficients of the
  // two sums. [terms][log2(lanes)].
  using Scan = void (*)(const ScanBlock& block, const double* series, ScanState& state);
  Scan scan[3][4];

  // For items in descending order of scores, with x_ij = (s_j - s_i) / T: adds to ranks[i] the sum
  // over j != i of sigmoid(x_ij), and to grads[i] that of (coefficient_j - coefficient_i)
  // sigmoid'(x_ij). Either may be null.
  void (*soft_ranks)(const double* score, int64_t size, double temperature,
                     const double* coefficients, double* ranks, double* grads);
};

// Those of the chosen instruction set (cpu/simd/isa.h).
const LambdaLoops& lambda_loops();

}  // namespace fused_rankloss::cpu
