// SPDX-License-Identifier: BSD-3-Clause
//
// Terms of the pair kernels. A term defines the data of an item that is held in registers (a row)
// or shared memory (a column), the terms that one pair adds, and the results of a row's sums:
//
//   CountTerm        the unweighted hinge with boundary_grad 0 or 1: integer counts
//   ValueTerm<Loss>  everything else: values and slopes of `Loss`, times weights
//
// Storage types are resolved when a slot is loaded. The loops over pairs have one type for scores,
// Real, and one for labels, Key: float and int32_t, float and int64_t for labels that need it, or
// double and int64_t for fp64 scores.
#pragma once

#include "args/pairwise.h"
#include "common/half.h"
#include "common/weights.h"
#include "cuda/lists/partials.cuh"
#include "cuda/pairwise/policy.h"
#include "losses/pair_losses.h"

namespace fused_rankloss::cuda::pairwise {

// ---- Loading items ---------------------------------------------------------

// Loads for several slots at once. The storage type is resolved once, and all loads are issued
// before the first result is used. slot_of(r) is slot r, or negative if there is none.
template <int kSlots, typename Real, typename SlotOf>
FRL_HD void load_scores(const PairwiseArgs& args, SlotOf&& slot_of, Real (&scores)[kSlots]) {
  const auto load = [&](const auto* stored) {
#pragma unroll
    for (int r = 0; r < kSlots; ++r) {
      if (slot_of(r) >= 0) scores[r] = static_cast<Real>(to_compute(stored[slot_of(r)]));
    }
  };
  switch (args.score_type) {
    case ScoreType::kHalf:
      return load(static_cast<const Half*>(args.scores));
    case ScoreType::kBFloat16:
      return load(static_cast<const BFloat16*>(args.scores));
    default:
      return load(static_cast<const Real*>(args.scores));
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
FRL_HD Key narrow_key(int64_t key, LabelType type) {
  if constexpr (sizeof(Key) == 4) {
    // Keys of narrow floats are unsigned 32-bit integers; only NaN's becomes the lowest.
    if (is_nan_label(key, type)) return kLowestKey<Key>;
    if (type >= LabelType::kHalf) return static_cast<Key>(key - 0x80000000);
  }
  return static_cast<Key>(key);
}

template <int kSlots, typename Key, typename SlotOf>
FRL_HD void load_labels(const PairwiseArgs& args, SlotOf&& slot_of, Key (&labels)[kSlots]) {
  visit_labels(args.labels, args.label_type, [&](const auto* stored) {
#pragma unroll
    for (int r = 0; r < kSlots; ++r) {
      if (slot_of(r) >= 0) {
        labels[r] = narrow_key<Key>(label_key(stored[slot_of(r)]), args.label_type);
      }
    }
  });
}

template <typename Key>
FRL_HD bool is_nan_key(Key key, LabelType type) {
  return key == kLowestKey<Key> && type >= LabelType::kHalf;
}

template <int kSlots, typename Real, typename SlotOf>
FRL_HD void load_weights(const PairwiseArgs& args, SlotOf&& slot_of, Real (&weights)[kSlots]) {
#pragma unroll
  for (int r = 0; r < kSlots; ++r) {
    const bool stored = args.weights != nullptr && slot_of(r) >= 0;
    weights[r] = stored ? static_cast<const Real*>(args.weights)[slot_of(r)] : Real(1);
  }
}

// The item of one slot.
template <class Term>
FRL_HD typename Term::Item load_item(const Term& term, const PairwiseArgs& args, int64_t slot) {
  const auto slot_of = [slot](int) { return slot; };
  typename Term::Real score[1];
  typename Term::Real weight[1];
  typename Term::Key label[1];
  load_scores(args, slot_of, score);
  load_weights(args, slot_of, weight);
  load_labels(args, slot_of, label);
  return term.item(score[0], weight[0], label[0]);
}

// ---- Counts ----------------------------------------------------------------

// With boundary_grad 0 or 1 the slope of a hinge is 0 or 1, and gradients are numbers of pairs.
// Item t is in c_t violating pairs as the more relevant item and in k_t as the less relevant one.
// The loss follows from the counts, since every violating pair adds m - s_i + s_j:
//
//   sum = sum_t c_t m + (k_t - c_t) s_t
//
// The term of a pair may be far smaller than its scores, so the sum is compensated. Its relative
// error is then about 1e-32 |s| / gap.
template <typename RealT, typename KeyT>
class CountTerm {
 public:
  using Real = RealT;
  using Key = KeyT;
  static constexpr PairwiseTile kTile = kCountTile;
  static constexpr int kListRows = kCountListRows;
  static constexpr bool kCounts = true;  // a pair only adds one

  struct alignas(sizeof(Real) == 4 ? 16 : 8) Item {
    Real score;
    Real reach;  // a more relevant item violates the margin unless its score is greater
    Key label;
  };

  // fp32 counts exactly to 2^24, more than the columns of a tile or a short list. A comparison that
  // yields 1.0 or 0.0 takes one instruction; a predicate and an integer take two.
  struct TileSums {
    float more = 0;         // violating pairs with the row as the more relevant item
    float less = 0;         // ... as the less relevant one
    uint32_t lower = 0;     // all pairs with the row as the more relevant item
    bool poisoned = false;  // NaN, or the difference of two equal infinities

    FRL_HD void poison() { poisoned = true; }
  };

  struct Sums {
    uint32_t more = 0;
    uint32_t less = 0;
    uint32_t lower = 0;
    uint32_t poisoned = 0;

    FRL_HD void poison() { poisoned = 1; }

    FRL_HD void add_tile(const Item& /*row*/, const TileSums& tile) {
      more += static_cast<uint32_t>(tile.more);
      less += static_cast<uint32_t>(tile.less);
      lower += tile.lower;
      poisoned |= tile.poisoned;
    }
  };

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

  FRL_HD Item item(Real score, Real /*weight*/, Key label) const {
    return {score, reach(score, margin_, inclusive_), label};
  }

  FRL_HD Item load(int64_t slot) const { return load_item(*this, args_, slot); }

  FRL_HD static Item inert(Key label) { return {kNan<Real>, kNan<Real>, label}; }

  FRL_HD bool holds_nan(const Item& item) const {
    return item.score != item.score || is_nan_key(item.label, args_.label_type);
  }

  FRL_HD void add_pair(const Item& row, const Item& column, TileSums& sums) const {
    const bool above = row.label > column.label;
    const bool below = row.label < column.label;
    sums.more += above & (row.score <= column.reach) ? 1.0f : 0.0f;
    sums.less += below & (column.score <= row.reach) ? 1.0f : 0.0f;
    sums.lower += above;
  }

  // The same for a column whose label is known to be lower, or higher, than the row's. count_lower
  // counts all columns with lower labels at once.
  FRL_HD void add_lower(const Item& row, const Item& column, TileSums& sums) const {
    sums.more += row.score <= column.reach ? 1.0f : 0.0f;
  }

  FRL_HD void add_higher(const Item& row, const Item& column, TileSums& sums) const {
    sums.less += column.score <= row.reach ? 1.0f : 0.0f;
  }

  FRL_HD void count_lower(int columns, TileSums& sums) const { sums.lower += columns; }

  __device__ __forceinline__ ListPartial finish(const Item& row, const Totals& totals) const {
    const double score = row.score;
    ListPartial partial;
    partial.slope = static_cast<double>(totals.more);
    // No violating pairs add exactly 0, even with an infinite margin or score.
    if (totals.more != 0) partial.value.add_product(partial.slope, margin_);
    if (has_no_gap(margin_, score)) partial.slope = kNan<double>;
    const double count = static_cast<double>(totals.gradient());
    if (count != 0) partial.value.add_product(count, score);
    partial.pairs = totals.poisoned ? kNan<double> : static_cast<double>(totals.lower);
    return partial;
  }

  FRL_HD void store_gradient(int64_t index, const Totals& totals, double /*unit*/) const {
    static_cast<int32_t*>(args_.raw_grad)[index] = static_cast<int32_t>(totals.gradient());
  }

 private:
  const PairwiseArgs& args_;
  double margin_;
  bool inclusive_;
};

// ---- Values ----------------------------------------------------------------

// Values, slopes and weights are summed in fp64 and rounded once. The gap is m - (s_i - s_j), since
// a margin added to a large score would be lost. The side of the boundary is decided as by `reach`
// (common/ordered.h): by (s_j + m) - s_i, and by the gap if that is 0. A pair's weight has one
// factor per item: w_i w_j, or w_i of the more relevant item only. The row's factor is applied at
// the end of a tile.
template <typename Loss, typename RealT, typename KeyT>
class ValueTerm {
 public:
  using Real = RealT;
  using Key = KeyT;
  static constexpr PairwiseTile kTile = kValueTile;
  static constexpr int kListRows = kValueListRows;
  static constexpr bool kCounts = false;

  struct Item {
    double reach;  // score + margin
    double score;
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
           tile.pairs == 0 ? 0 : row.weight_as_more * tile.pairs});
    }

    FRL_HD void add(const Sums& other) {
      value += other.value;
      slope += other.slope;
      gradient += other.gradient;
      pairs += other.pairs;
    }

    // A row without pairs adds nothing, even at an infinite weight, nor does one that weighs
    // nothing, even at an infinite gap.
    FRL_HD static double product(double weight, double sum) {
      return sum == 0 ? 0 : weighted(weight, sum);
    }
  };
  using Totals = Sums;

  FRL_HD ValueTerm(const PairwiseArgs& args, double margin)
      : args_(args), margin_(margin), boundary_(args.boundary_grad) {}

  FRL_HD Item item(Real score, Real weight, Key label) const {
    return {static_cast<double>(score) + margin_, score, weight, args_.preferred ? Real(1) : weight,
            label};
  }

  FRL_HD Item load(int64_t slot) const { return load_item(*this, args_, slot); }

  FRL_HD static Item inert(Key label) { return {kNan<double>, kNan<double>, 1, 1, label}; }

  FRL_HD bool holds_nan(const Item& item) const {
    return item.score != item.score || !is_weight(item.weight_as_more) ||
           is_nan_key(item.label, args_.label_type);
  }

  FRL_HD void add_pair(const Item& row, const Item& column, TileSums& sums) const {
    if (row.label > column.label) {
      add_lower(row, column, sums);
    } else if (row.label < column.label) {
      add_higher(row, column, sums);
    }
  }

  // The same for a column whose label is known to be lower, or higher, than the row's.
  FRL_HD void add_lower(const Item& row, const Item& column, TileSums& sums) const {
    const Gap gap = gap_of(row, column, column.weight_as_less);
    sums.value += column.weight_as_less * Loss::value(gap.size);
    sums.slope_as_more += column.weight_as_less * slope(gap);
    sums.pairs += column.weight_as_less;
  }

  FRL_HD void add_higher(const Item& row, const Item& column, TileSums& sums) const {
    sums.slope_as_less += column.weight_as_more * slope(gap_of(column, row, column.weight_as_more));
  }

  // Nothing to do: add_lower adds the weights one by one.
  FRL_HD void count_lower(int /*columns*/, TileSums& /*sums*/) const {}

  __device__ __forceinline__ ListPartial finish(const Item& row, const Totals& totals) const {
    const double slope = has_no_gap(margin_, row.score) ? kNan<double> : totals.slope;
    return {{totals.value, 0}, slope, totals.pairs};
  }

  FRL_HD void store_gradient(int64_t index, const Totals& totals, double unit) const {
    static_cast<Real*>(args_.raw_grad)[index] = static_cast<Real>(totals.gradient / unit);
  }

 private:
  struct Gap {
    double size;
    double side;  // its sign decides the side of the boundary; 0 at the boundary
  };

  // Size 0 if the column has weight 0, so that it counts nothing at an infinite gap either.
  FRL_HD Gap gap_of(const Item& more, const Item& less, double column_weight) const {
    const double size = column_weight != 0 ? margin_ - (more.score - less.score) : 0;
    const double side = less.reach - more.score;
    return {size, side == 0 ? size : side};
  }

  FRL_HD double slope(const Gap& gap) const {
    return Loss::slope(Loss::kSlopeIsIndicator ? gap.side : gap.size, boundary_);
  }

  const PairwiseArgs& args_;
  double margin_;
  double boundary_;
};

// ---- Dispatch --------------------------------------------------------------

// CountTerm compares labels of narrow types as 32 bits, since counting is cheap. The cost of a
// ValueTerm hides a 64-bit comparison, and every further term is one more kernel to compile.
template <typename Real, typename Body>
void dispatch_value_term(std::string_view loss_name, Body&& body) {
  dispatch_pair_loss(loss_name, [&](auto loss) {
    body.template operator()<ValueTerm<decltype(loss), Real, int64_t>>();
  });
}

// Calls `body.operator()<Term>()` with the term of a call.
template <typename Body>
void dispatch_term(const PairwiseArgs& args, std::string_view loss_name, Body&& body) {
  const bool wide = args.score_type == ScoreType::kDouble;
  if (args.counts) {
    if (wide) return body.template operator()<CountTerm<double, int64_t>>();
    if (fits_narrow_key(args.label_type))
      return body.template operator()<CountTerm<float, int32_t>>();
    return body.template operator()<CountTerm<float, int64_t>>();
  }
  if (wide) return dispatch_value_term<double>(loss_name, body);
  return dispatch_value_term<float>(loss_name, body);
}

}  // namespace fused_rankloss::cuda::pairwise
