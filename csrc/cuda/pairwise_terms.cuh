// SPDX-License-Identifier: BSD-3-Clause
//
// What the tile kernel does with a pair. A term says what of an item it keeps in registers (a row)
// or shared memory (a column), what one pair adds, and what a row makes of its sums:
//
//   CountTerm        the unweighted hinge with boundary_grad 0 or 1: integer counts
//   ValueTerm<Loss>  everything else: values and slopes of `Loss`, times weights
//
// Storage types are resolved where a slot is loaded. The loops over pairs see a Real and a Key
// only: float and int32_t, float and int64_t for labels that need it, or double and int64_t for
// fp64 scores.
#pragma once

#include "common/half.h"
#include "common/pairwise_args.h"
#include "cuda/list_partials.cuh"
#include "cuda/policy.h"

namespace fused_rankloss {

// ---- Loading items ---------------------------------------------------------

template <typename Real>
FRL_HD Real load_score(const PairwiseArgs& args, int64_t slot) {
  switch (args.score_type) {
    case ScoreType::kHalf:
      return to_float(static_cast<const Half*>(args.scores)[slot]);
    case ScoreType::kBFloat16:
      return to_float(static_cast<const BFloat16*>(args.scores)[slot]);
    default:
      return static_cast<const Real*>(args.scores)[slot];
  }
}

FRL_HD bool fits_narrow_key(LabelType type) {
  return type != LabelType::kInt64 && type != LabelType::kDouble;
}

template <typename Key>
inline constexpr Key kLowestKey = std::numeric_limits<Key>::min();
template <typename Key>
inline constexpr Key kHighestKey = std::numeric_limits<Key>::max();

template <typename Key>
FRL_HD Key load_label(const PairwiseArgs& args, int64_t slot) {
  const int64_t key = label_key_at(args.labels, args.label_type, slot);
  if constexpr (sizeof(Key) == 4) {
    // Keys of narrow floats are unsigned 32-bit numbers, of which none but NaN's becomes the
    // lowest.
    if (is_nan_label(key, args.label_type)) return kLowestKey<Key>;
    if (args.label_type >= LabelType::kHalf) return static_cast<Key>(key - 0x80000000);
  }
  return static_cast<Key>(key);
}

template <typename Key>
FRL_HD bool is_nan_key(Key key, LabelType type) {
  return key == kLowestKey<Key> && type >= LabelType::kHalf;
}

template <typename Real>
FRL_HD Real load_weight(const PairwiseArgs& args, int64_t slot) {
  return args.weights ? static_cast<const Real*>(args.weights)[slot] : Real(1);
}

// ---- Counts ----------------------------------------------------------------

// With boundary_grad 0 or 1 the slope of a hinge is 0 or 1, and gradients are numbers of pairs.
// Item t violates c_t pairs as the more relevant item and k_t as the less relevant one; the loss
// follows from the counts, since every violating pair adds m - s_i + s_j:
//
//   sum = sum_t c_t m + (k_t - c_t) s_t
//
// What a pair adds may be far smaller than its scores: the sum is compensated, which makes its
// relative error about 1e-32 |s| / gap.
template <typename RealT, typename KeyT>
class CountTerm {
 public:
  using Real = RealT;
  using Key = KeyT;
  static constexpr PairwiseTile kTile = kCountTile;

  struct alignas(16) Item {
    Real score;
    Real reach;  // a more relevant item violates the margin unless its score is greater
    Key label;
  };

  // 32 bits hold what one warp counts for a row of a list of 2^34 items.
  struct Sums {
    uint32_t more = 0;      // violating pairs with the row as the more relevant item
    uint32_t less = 0;      // ... as the less relevant one
    uint32_t lower = 0;     // all pairs with the row as the more relevant item
    uint32_t poisoned = 0;  // not 0: NaN, or the difference of two equal infinities

    FRL_HD void poison() { poisoned = 1; }

    FRL_HD void add_tile(const Item& /*row*/, const Sums& tile) {
      more += tile.more;
      less += tile.less;
      lower += tile.lower;
      poisoned |= tile.poisoned;
    }
  };
  using TileSums = Sums;

  struct Totals {
    int64_t more = 0;
    int64_t less = 0;
    int64_t lower = 0;
    bool poisoned = false;

    FRL_HD int64_t gradient() const { return less - more; }

    FRL_HD void add(const Sums& sums) {
      more += sums.more;
      less += sums.less;
      lower += sums.lower;
      poisoned |= sums.poisoned != 0;
    }
  };

  FRL_HD CountTerm(const PairwiseArgs& args, double margin)
      : args_(args), margin_(margin), inclusive_(args.boundary_grad == 1) {}

  FRL_HD Item load(int64_t slot) const {
    const Real score = load_score<Real>(args_, slot);
    return {score, reach(score, margin_, inclusive_), load_label<Key>(args_, slot)};
  }

  FRL_HD static Item inert(Key label) { return {kNan<Real>, kNan<Real>, label}; }

  FRL_HD bool holds_nan(const Item& item) const {
    return item.score != item.score || is_nan_key(item.label, args_.label_type);
  }

  FRL_HD void add_pair(const Item& row, const Item& column, TileSums& sums) const {
    const bool above = row.label > column.label;
    const bool below = row.label < column.label;
    sums.more += above & (row.score <= column.reach);
    sums.less += below & (column.score <= row.reach);
    sums.lower += above;
  }

  __device__ __forceinline__ ListPartial finish(const Item& row, const Totals& totals) const {
    const double score = row.score;
    ListPartial partial;
    partial.slope = static_cast<double>(totals.more);
    partial.value.add_product(partial.slope, margin_);
    const double count = static_cast<double>(totals.gradient());
    if (count != 0) partial.value.add_product(count, score);  // or else 0 times infinity
    partial.pairs = totals.poisoned ? kNan<double> : static_cast<double>(totals.lower);
    return partial;
  }

  FRL_HD void store_gradient(int64_t index, const Totals& totals) const {
    if (args_.wide_counts) {
      static_cast<int64_t*>(args_.raw_grad)[index] = totals.gradient();
    } else {
      static_cast<int32_t*>(args_.raw_grad)[index] = static_cast<int32_t>(totals.gradient());
    }
  }

 private:
  const PairwiseArgs& args_;
  double margin_;
  bool inclusive_;
};

// ---- Values ----------------------------------------------------------------

// Everything is in fp64, so that results are rounded once. The gap (s_j + m) - s_i of fp64 numbers
// has the sign of their comparison and decides on which side of the boundary a pair lies. A pair's
// weight is a factor of each of its items, w_i w_j or w_i of the more relevant one alone; the row's
// factor is left out until the end of a tile. GPUs with few fp64 units are bound by them here.
template <typename Loss, typename RealT, typename KeyT>
class ValueTerm {
 public:
  using Real = RealT;
  using Key = KeyT;
  static constexpr PairwiseTile kTile = kValueTile;

  struct Item {
    double score;
    double reach;  // score + margin
    double weight_as_more;
    double weight_as_less;
    Key label;
  };

  struct TileSums {
    double value = 0;
    double slope_as_more = 0;  // of pairs with the row as the more relevant item
    double slope_as_less = 0;
    double pairs = 0;  // NaN: poisoned

    FRL_HD void poison() { pairs = kNan<double>; }
  };

  struct Sums {
    double value = 0;
    double slope = 0;     // d value / d margin
    double gradient = 0;  // d list_sum / d score of the row
    double pairs = 0;     // NaN: poisoned

    FRL_HD void poison() { pairs = kNan<double>; }

    FRL_HD void add_tile(const Item& row, const TileSums& tile) {
      const double tile_slope = product(row.weight_as_more, tile.slope_as_more);
      add({product(row.weight_as_more, tile.value), tile_slope,
           product(row.weight_as_less, tile.slope_as_less) - tile_slope,
           product(row.weight_as_more, tile.pairs)});
    }

    FRL_HD void add(const Sums& other) {
      value += other.value;
      slope += other.slope;
      gradient += other.gradient;
      pairs += other.pairs;
    }

    // A row without pairs adds nothing, even at an infinite weight.
    FRL_HD static double product(double weight, double sum) { return sum == 0 ? 0 : weight * sum; }
  };
  using Totals = Sums;

  FRL_HD ValueTerm(const PairwiseArgs& args, double margin) : args_(args), margin_(margin) {}

  FRL_HD Item load(int64_t slot) const {
    const double score = load_score<Real>(args_, slot);
    const double weight = args_.weights ? static_cast<const Real*>(args_.weights)[slot] : Real(1);
    return {score, score + margin_, weight, args_.preferred ? 1 : weight,
            load_label<Key>(args_, slot)};
  }

  FRL_HD static Item inert(Key label) { return {kNan<double>, kNan<double>, 1, 1, label}; }

  FRL_HD bool holds_nan(const Item& item) const {
    return item.score != item.score || item.weight_as_more != item.weight_as_more ||
           is_nan_key(item.label, args_.label_type);
  }

  FRL_HD void add_pair(const Item& row, const Item& column, TileSums& sums) const {
    const bool above = row.label > column.label;
    const bool below = row.label < column.label;
    const double gap = above ? column.reach - row.score : row.reach - column.score;
    const double slope = Loss::slope(gap, args_.boundary_grad);
    if (above) {
      sums.value += column.weight_as_less * Loss::value(gap);
      sums.slope_as_more += column.weight_as_less * slope;
      sums.pairs += column.weight_as_less;
    } else if (below) {
      sums.slope_as_less += column.weight_as_more * slope;
    }
  }

  __device__ __forceinline__ ListPartial finish(const Item& /*row*/, const Totals& totals) const {
    return {{totals.value, 0}, totals.slope, totals.pairs};
  }

  FRL_HD void store_gradient(int64_t index, const Totals& totals) const {
    static_cast<Real*>(args_.raw_grad)[index] = static_cast<Real>(totals.gradient);
  }

 private:
  const PairwiseArgs& args_;
  double margin_;
};

}  // namespace fused_rankloss
