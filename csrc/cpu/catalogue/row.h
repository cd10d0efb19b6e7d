// SPDX-License-Identifier: BSD-3-Clause
//
// The scores of one query and the whole catalogue, turned in place into the gradient of the query's
// sum over pairs of a positive i and a negative j.
//
// The few positives are sorted; what a negative needs to know is its place, the number of positives
// that it violates, which are the lowest ones. With x_j = s_j + margin - c and d_i = s_i - c, where
// c is the lowest finite score of a positive, sums of gaps x_j - d_i over the violated pairs are
//
//   hinge          sum_j k_j x_j - sum_i c_i d_i, and with weights of the positives (WARP) the same
//                  with their sums over a place's positives in place of k_j
//   squared hinge  sum_j (k_j (x_j - m_k)^2 + v_k), where m_k is the mean of d_1 .. d_k, and v_k
//   the
//                  sum of their squared distances from it
//
// where k_j is the place of j, and c_i the number of negatives that violate i: of the histogram of
// the places, the part beyond i.
//
// Positives, excluded items and, if only the hardest count, the other negatives are marked with NaN
// (simd/catalogue_loops.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "args/catalogue.h"
#include "common/compensated_sum.h"
#include "common/weights.h"
#include "cpu/simd/catalogue_loops.h"

namespace fused_rankloss::cpu::catalogue {

// Of one worker; it solves one row after another.
template <typename Real>
class RowSolver {
 public:
  explicit RowSolver(const CatalogueArgs& args)
      : args_(args),
        loops_(catalogue_loops().of<Real>()),
        margin_(args.parameter != nullptr ? *args.parameter : args.margin),
        temperature_(args.parameter != nullptr ? *args.parameter : args.temperature) {}

  void solve(int64_t query) {
    row_ = static_cast<Real*>(args_.scores) + query * args_.num_items;
    const double weight = args_.query_weights != nullptr ? args_.query_weights[query] : 1;
    size_ = args_.positives.size(query);
    value_ = pairs_ = slope_ = 0;
    if (size_ == 0 && is_weight(weight)) {
      clear();
    } else {
      mark(query);
      if (!is_weight(weight) || has_nan() || (weight != 0 && is_undefined())) {
        value_ = slope_ = kNan<double>;
        if (args_.needs_grad) std::fill_n(row_, args_.num_items, kNan<Real>);
        grads_.assign(size_, kNan<double>);
      } else if (weight == 0) {
        clear();
        grads_.assign(size_, 0.0);
      } else {
        solve_terms();
      }
      if (args_.needs_grad) finish(query);
    }
    args_.value[query] = value_;
    args_.pairs[query] = pairs_;
    args_.slope[query] = slope_;
  }

 private:
  struct Positive {
    Real score;
    int64_t item;
  };

  void clear() {
    if (args_.needs_grad) std::fill_n(row_, args_.num_items, Real{0});
  }

  // Takes the positives out of the row, in ascending order, and marks what is no negative.
  void mark(int64_t query) {
    if (args_.item_bias != nullptr) {
      loops_.add(row_, static_cast<const Real*>(args_.item_bias), args_.num_items);
    }
    const int64_t* items = args_.positives.of(query);
    const int64_t* excluded = args_.excluded.of(query);
    const int64_t num_excluded = args_.excluded.size(query);
    positives_.resize(size_);
    for (int64_t i = 0; i < size_; ++i) positives_[i] = {row_[items[i]], items[i]};
    for (int64_t i = 0; i < size_; ++i) row_[items[i]] = kNan<Real>;
    for (int64_t e = 0; e < num_excluded; ++e) row_[excluded[e]] = kNan<Real>;
    summary_ = loops_.summarize(row_, args_.num_items);
    num_negatives_ = args_.num_items - size_ - num_excluded;
  }

  bool has_nan() const {
    return summary_.nans + num_negatives_ > args_.num_items ||
           std::any_of(positives_.begin(), positives_.end(),
                       [](const Positive& positive) { return positive.score != positive.score; });
  }

  // The difference of two equal infinities, or a margin or temperature that gives no loss.
  bool is_undefined() const {
    Real lowest = kInfinity<Real>, highest = -kInfinity<Real>;
    for (const Positive& positive : positives_) {
      lowest = std::min(lowest, positive.score);
      highest = std::max(highest, positive.score);
    }
    if (args_.loss == CatalogueLoss::kSoftmax) {
      const Real top = std::max(highest, summary_.highest);
      return !is_finite(top) || !(temperature_ > 0) || !is_finite(temperature_);
    }
    if (num_negatives_ == 0) return false;
    const bool infinite = !is_finite(lowest) || !is_finite(highest) ||
                          !is_finite(summary_.lowest) || !is_finite(summary_.highest);
    return (highest == kInfinity<Real> && summary_.highest == kInfinity<Real>) ||
           (lowest == -kInfinity<Real> && summary_.lowest == -kInfinity<Real>) ||
           margin_ != margin_ || (infinite && !is_finite(margin_));
  }

  void solve_terms() {
    if (args_.hardest > 0 && args_.hardest < num_negatives_) keep_hardest();
    std::sort(positives_.begin(), positives_.end(), [](const Positive& a, const Positive& b) {
      return a.score != b.score ? a.score < b.score : a.item < b.item;
    });
    grads_.assign(size_, 0.0);
    const double size = static_cast<double>(size_), negatives = static_cast<double>(num_negatives_);
    pairs_ = size;
    if (args_.loss == CatalogueLoss::kSoftmax) return softmax();
    if (args_.loss != CatalogueLoss::kWarp) pairs_ *= negatives;
    if (num_negatives_ == 0) return clear();
    if (args_.loss == CatalogueLoss::kLogistic) return logistic();
    prepare_places();
    switch (args_.loss) {
      case CatalogueLoss::kHinge:
        return hinge();
      case CatalogueLoss::kWarp:
        return warp();
      default:
        return squared_hinge();
    }
  }

  // Marks all but the `hardest` negatives of the highest scores; of equal ones those of the lowest
  // numbers count.
  void keep_hardest() {
    const int64_t hardest = args_.hardest;
    selected_.resize(args_.num_items);
    const auto end = std::copy_if(row_, row_ + args_.num_items, selected_.begin(),
                                  [](Real score) { return score == score; });
    const auto last = selected_.begin() + (hardest - 1);
    std::nth_element(selected_.begin(), last, end, std::greater<Real>());
    int64_t equal =
        hardest - std::count_if(selected_.begin(), last, [&](Real score) { return score > *last; });
    for (int64_t t = 0; t < args_.num_items; ++t) {
      if (row_[t] > *last || (row_[t] == *last && equal-- > 0)) continue;
      row_[t] = kNan<Real>;
    }
    num_negatives_ = hardest;
  }

  // ---- Losses that are 0 beyond the margin -----------------------------------

  void prepare_places() {
    int steps = 1;
    while (int64_t{1} << steps <= size_) ++steps;
    sorted_.assign(size_ + (int64_t{1} << steps) + 3, kNan<Real>);
    for (int64_t i = 0; i < size_; ++i) sorted_[i] = positives_[i].score;
    table_ = {sorted_.data(), size_, steps};
    const auto first = std::find_if(sorted_.begin(), sorted_.begin() + size_,
                                    [](Real score) { return is_finite(score); });
    centre_ = is_finite(*first) ? *first : 0;
    weights_.assign(size_ + 1, 0.0);
    violations_.assign(size_ + 1, 0);
  }

  double distance(int64_t i) const { return sorted_[i] - centre_; }

  // Calls visit(begin, size, places) for the chunks of the row, and counts the places: afterwards,
  // violations_[i] is the number of negatives that violate positive i.
  template <typename Visit>
  void visit_places(bool inclusive, Visit&& visit) {
    // Consecutive items count in different tables: increments of one counter would wait for each
    // other where many items share a place.
    counts_.assign(kTables * (size_ + 1), 0);
    int32_t places[kCatalogueChunk];
    for (int64_t begin = 0; begin < args_.num_items; begin += kCatalogueChunk) {
      const int64_t size = std::min(kCatalogueChunk, args_.num_items - begin);
      loops_.find_places(row_ + begin, size, margin_, inclusive, table_, places);
      for (int64_t t = 0; t < size; ++t) ++counts_[(t % kTables) * (size_ + 1) + places[t]];
      visit(begin, size, places);
    }
    int64_t beyond = 0;
    for (int64_t i = size_ - 1; i >= 0; --i) {
      for (int64_t table = 0; table < kTables; ++table) {
        beyond += counts_[table * (size_ + 1) + i + 1];
      }
      violations_[i] = beyond;
    }
  }

  // What the positives add to the value, gradient and slope where each violated pair of positive i
  // weighs `weight(i)`.
  template <typename Weight>
  void add_positives(const Weight& weight) {
    for (int64_t i = 0; i < size_; ++i) {
      const double violated = weight(i) * static_cast<double>(violations_[i]);
      value_ -= weighted(violated, distance(i));
      slope_ += violated;
      grads_[i] -= violated;
    }
  }

  void hinge() {
    if (args_.boundary_grad == 0 || args_.boundary_grad == 1) {
      visit_places(
          args_.boundary_grad == 1, [&](int64_t begin, int64_t size, const int32_t* places) {
            Real slopes[kCatalogueChunk];
            value_ += loops_.weigh_equally(row_ + begin, size, centre_, margin_, places, slopes);
            std::copy(slopes, slopes + size, row_ + begin);
          });
      return add_positives([](int64_t) { return 1.0; });
    }
    // At the boundary, the slope is a weighted mean of its one-sided limits.
    const double parts[2] = {1 - args_.boundary_grad, args_.boundary_grad};
    slopes_.resize(args_.num_items);  // both passes need the scores
    bool add = false;
    for (const bool inclusive : {true, false}) {
      const double part = parts[inclusive];
      for (int64_t k = 0; k <= size_; ++k) weights_[k] = part * static_cast<double>(k);
      visit_places(inclusive, [&](int64_t begin, int64_t size, const int32_t* places) {
        weigh(begin, size, places, add, slopes_.data());
      });
      add_positives([&](int64_t) { return part; });
      add = true;
    }
    std::copy(slopes_.begin(), slopes_.end(), row_);
  }

  void weigh(int64_t begin, int64_t size, const int32_t* places, bool add, Real* out) {
    Real slopes[kCatalogueChunk];
    if (add) std::copy(out + begin, out + begin + size, slopes);
    value_ +=
        loops_.weigh(row_ + begin, size, centre_, margin_, places, weights_.data(), add, slopes);
    std::copy(slopes, slopes + size, out + begin);
  }

  // The weights depend on the counts of all negatives: two passes.
  void warp() {
    const bool inclusive = args_.boundary_grad > 0;
    visit_places(inclusive, [](int64_t, int64_t, const int32_t*) {});
    for (int64_t i = 0; i < size_; ++i) {
      weights_[i + 1] = weights_[i] + rank_weight(args_, violations_[i]);
    }
    visit_places(inclusive, [&](int64_t begin, int64_t size, const int32_t* places) {
      weigh(begin, size, places, false, row_);
    });
    add_positives([&](int64_t i) { return rank_weight(args_, violations_[i]); });
  }

  void squared_hinge() {
    // weights_[k] is the mean of d_1 .. d_k, deviations_[k] the sum of squares about it.
    deviations_.assign(size_ + 1, 0.0);
    for (int64_t k = 1; k <= size_; ++k) {
      const double from_mean = distance(k - 1) - weights_[k - 1];
      // A positive at -infinity keeps the mean there.
      const double step = is_finite(weights_[k - 1]) ? from_mean / static_cast<double>(k) : 0;
      weights_[k] = weights_[k - 1] + step;
      const double deviation = from_mean * (distance(k - 1) - weights_[k]);
      deviations_[k] = deviations_[k - 1] + (is_finite(deviation) ? deviation : 0);
    }
    sums_.assign(kTables * (size_ + 1), 0.0);
    visit_places(true, [&](int64_t begin, int64_t size, const int32_t* places) {
      Real slopes[kCatalogueChunk];
      Real* scores = row_ + begin;
      for (int64_t t = 0; t < size; ++t) {
        sums_[(t % kTables) * (size_ + 1) + places[t]] += (scores[t] - centre_) + margin_;
      }
      value_ += loops_.square(scores, size, centre_, margin_, places, weights_.data(), slopes);
      std::copy(slopes, slopes + size, scores);
    });
    double beyond = 0;
    for (int64_t i = size_ - 1; i >= 0; --i) {
      for (int64_t table = 0; table < kTables; ++table)
        beyond += sums_[table * (size_ + 1) + i + 1];
      const double violated = static_cast<double>(violations_[i]);
      const double here = violated - static_cast<double>(i + 1 < size_ ? violations_[i + 1] : 0);
      value_ += here * deviations_[i + 1];
      if (violated == 0) continue;
      const double gaps = beyond - violated * distance(i);
      grads_[i] = -2 * gaps;
      slope_ += 2 * gaps;
    }
  }

  // ---- Logistic --------------------------------------------------------------

  void logistic() {
    using Group = LogisticGroup<Real>;
    slopes_.assign(args_.num_items, Real{0});
    std::vector<Real> factors;
    std::vector<double> sums;
    for (int64_t end = size_; end > 0;) {  // groups from the highest score down
      const double top = positives_[end - 1].score;
      int64_t begin = end - 1;
      const auto fits = [&](int64_t i) {
        const double reached = Group::kLinear + args_.sigma * (top - positives_[i].score);
        return 2 * reached <= Group::kPairLimit &&
               static_cast<double>(end - i + 1) * reached <= Group::kLimit;
      };
      while (begin > 0 && fits(begin - 1)) --begin;
      const int64_t members = end - begin, size = members + members % 2;
      factors.assign(size, Real{0});
      for (int64_t i = 0; i < members; ++i) {
        const double gap = top - positives_[begin + i].score;
        factors[i] = static_cast<Real>(std::exp(args_.sigma * (gap > 0 ? gap : 0)));
      }
      sums.assign(size, 0.0);
      const Group group{args_.sigma, top, members, size, factors.data(), sums.data()};
      for (int64_t at = 0; at < args_.num_items; at += kCatalogueChunk) {
        value_ += loops_.logistic(group, row_ + at, std::min(kCatalogueChunk, args_.num_items - at),
                                  slopes_.data() + at);
      }
      for (int64_t i = 0; i < members; ++i) grads_[begin + i] = -args_.sigma * sums[i];
      end = begin;
    }
    std::copy(slopes_.begin(), slopes_.end(), row_);
    if (args_.sigma != 1) loops_.multiply(row_, args_.sigma, args_.num_items);
  }

  // ---- Softmax ---------------------------------------------------------------

  void softmax() {
    const double inverse = 1 / temperature_, size = static_cast<double>(size_);
    if (args_.own_denominator && num_negatives_ == 0) return clear();
    double top = summary_.highest;
    if (!args_.own_denominator) top = std::max<double>(top, positives_.back().score);
    ExponentialSums sums;
    for (int64_t at = 0; at < args_.num_items; at += kCatalogueChunk) {
      const ExponentialSums part = loops_.exponentials(
          row_ + at, std::min(kCatalogueChunk, args_.num_items - at), top, inverse);
      sums.sum += part.sum;
      sums.spread += part.spread;
    }
    double factor = 0;  // what exp(-gap) of a negative has in the gradient
    if (args_.own_denominator) {
      for (int64_t i = 0; i < size_; ++i) {
        // The positive beside a sum that is 1 or more.
        const double z = inverse * (positives_[i].score - top);
        const double shrunk = std::exp(-std::fabs(z));
        const double total = z > 0 ? 1 + sums.sum * shrunk : sums.sum + shrunk;
        const double share = sums.sum * (z > 0 ? shrunk : 1) / total;  // of the negatives
        factor += (z > 0 ? shrunk : 1) / total;
        value_ += z > 0 ? std::log1p(sums.sum * shrunk) : std::log(total) - z;
        slope_ += share * (sums.spread / sums.sum + z);
        grads_[i] = -share * inverse;
      }
    } else {
      double gaps = 0;
      for (int64_t i = 0; i < size_; ++i) {
        const double gap = inverse * (top - positives_[i].score);
        grads_[i] = std::exp(-gap);
        sums.sum += grads_[i];
        sums.spread += weighted(grads_[i], gap);
        gaps += gap;
      }
      factor = size / sums.sum;
      value_ = size * std::log(sums.sum) + gaps;
      slope_ = size * (sums.spread / sums.sum) - gaps;
      for (int64_t i = 0; i < size_; ++i) grads_[i] = (grads_[i] * factor - 1) * inverse;
    }
    slope_ *= inverse;
    if (args_.needs_grad) loops_.multiply(row_, factor * inverse, args_.num_items);
  }

  // ---- Results ---------------------------------------------------------------

  // The gradients of the positives and of what is excluded.
  void finish(int64_t query) {
    for (int64_t i = 0; i < size_; ++i) {
      row_[positives_[i].item] = static_cast<Real>(grads_[i]);
    }
    const int64_t* excluded = args_.excluded.of(query);
    for (int64_t e = 0; e < args_.excluded.size(query); ++e) row_[excluded[e]] = 0;
  }

  static constexpr int64_t kTables = 4;

  const CatalogueArgs& args_;
  const CatalogueLoopsOf<Real>& loops_;
  const double margin_;
  const double temperature_;

  // Of the row at hand.
  Real* row_ = nullptr;
  int64_t size_ = 0;  // number of positives
  int64_t num_negatives_ = 0;
  ScoreSummary<Real> summary_{};  // of the negatives
  double value_ = 0, pairs_ = 0, slope_ = 0;
  std::vector<Positive> positives_;
  std::vector<double> grads_;  // of the positives
  std::vector<Real> selected_;
  std::vector<Real> slopes_;

  // Of places.
  std::vector<Real> sorted_;  // the positives' scores
  SortedPositives<Real> table_{};
  double centre_ = 0;
  std::vector<double> weights_;      // by place
  std::vector<double> deviations_;   // by place
  std::vector<int64_t> violations_;  // of each positive
  std::vector<int32_t> counts_;      // by table and place
  std::vector<double> sums_;
};

}  // namespace fused_rankloss::cpu::catalogue
