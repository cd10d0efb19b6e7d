// SPDX-License-Identifier: BSD-3-Clause
//
// A lambda loss over one list, with gradient and statistics: rank the items, compute their weights,
// sum the pairs with the faster engine (direct.h, scan.h), scale.
//
// Ranks, gains, discounts and normalisers are constants of the loss. Everything is fp64; memory is
// O(n).
#pragma once

#include <cmath>
#include <vector>

#include "cpu/lambda/direct.h"
#include "cpu/lambda/policy.h"
#include "cpu/lambda/scan.h"
#include "cpu/lambda/statistics.h"
#include "cpu/lists/policy.h"
#include "cpu/lists/ranked_list.h"
#include "cpu/lists/results.h"

namespace fused_rankloss::cpu::lambda {

// Tables by rank, for lists of up to `longest` items.
struct RankTables {
  RankTables(const LambdaArgs& args, int64_t longest)
      : discount(longest + 1), weight_discount(longest + 1), delta(longest + 1) {
    for (int64_t r = 0; r <= longest; ++r) {
      discount[r] = args.discount(r);
      weight_discount[r] = args.weighs_discount(r) ? discount[r] : 0;
      falling &= r == 0 || weight_discount[r] <= weight_discount[r - 1];
    }
    const double factor = args.delta_factor();
    for (int64_t t = 1; t <= longest; ++t) {
      delta[t] = factor * std::fabs(discount[t - 1] - discount[t]);
    }
  }

  std::vector<double> discount;         // by rank from 0
  std::vector<double> weight_discount;  // as it enters the weights of pairs
  std::vector<double> delta;            // by difference of ranks
  bool falling = true;                  // weight_discount never rises
};

template <typename Score>
class LambdaList {
 public:
  LambdaList(const LambdaArgs& args, const ListReader<Score>& reader, const RankTables& tables,
             std::byte* memory, int64_t slots)
      : LambdaList(args, reader, tables, Workspace(memory), slots) {}

  static int64_t workspace_bytes(const LambdaArgs& args, const ListReader<Score>& reader,
                                 const RankTables& tables, int64_t slots) {
    return LambdaList(args, reader, tables, Workspace(), slots).workspace_.bytes();
  }

  // Lists of at least this many slots are solved by all threads together. The threshold of scans is
  // higher: they are little work per item.
  static int64_t shared_slots(const LambdaArgs& args, const ListReader<Score>& reader,
                              const RankTables& tables) {
    const LambdaList list(args, reader, tables, Workspace(), 0);
    return list.always_factors() ? kSharedList : kSharedPairs;
  }

  ListResult solve(int64_t b, const ThreadTeam& team) {
    const Range slots = args_.lists.slots(b);
    clear_raw_grad(args_, b);
    double* statistics = args_.statistics == nullptr ? nullptr : args_.statistics + 3 * b;
    if (!list_.read(reader_, slots, args_.label_type, team) || infinities_poison()) {
      return poison(b, statistics);
    }
    if (statistics != nullptr) count_ordered_pairs(list_, tree_, statistics);
    if (!read_gains(slots.begin, statistics)) return poison(b, statistics);
    const LambdaProblem problem = make_problem();
    ListResult result;
    result.pairs = sum_pair_weights(problem);
    if (!std::isfinite(result.pairs)) return poison(b, statistics);
    if (args_.weights != nullptr) result.unit = weight_unit(result.pairs);
    LambdaSums sums;
    if (problem.num_grades > 1 || problem.all_pairs) {
      sums = use_scan(problem) ? scan_.solve(problem, direct_, list_.finite, team)
                               : direct_.solve(problem, 0, problem.num_grades, team);
    }
    double factor = args_.scale;
    if (args_.list_normalization) {
      factor *= list_normalizer(2 * args_.scale * args_.slope_scale() * sums.slope);
    }
    result.value = factor * sums.value;
    if (args_.raw_grad != nullptr) {
      visit_raw_grad(args_, slots.begin, [&](auto* grad) {
        using Real = std::remove_pointer_t<decltype(grad)>;
        const double scale = factor * args_.slope_scale() / result.unit;
        for (int64_t r = 0; r < problem.size; ++r) {
          grad[list_.position[r]] = static_cast<Real>(scale * list_.grad[r]);
        }
      });
    }
    return result;
  }

 private:
  LambdaList(const LambdaArgs& args, const ListReader<Score>& reader, const RankTables& tables,
             Workspace workspace, int64_t slots)
      : args_(args),
        reader_(reader),
        tables_(tables),
        workspace_(workspace),
        list_(workspace_, slots),
        more_weight_(workspace_.take<double>(slots)),
        less_weight_(workspace_.take<double>(slots)),
        scratch_(workspace_.take<double>(slots)),
        tree_(workspace_.take<int64_t>(slots + 1)),
        scan_(workspace_, args, scannable() ? slots : 0),
        direct_(workspace_, always_scans(slots) ? std::min(slots, scan_threshold()) : slots) {}

  static constexpr bool kWide = sizeof(Score) == sizeof(double);

  // The number of ranks of which a pair needs one, or both.
  int64_t top() const { return args_.top(list_.size); }
  bool both() const { return args_.both(); }
  bool all_pairs() const { return args_.all_pairs(); }

  // Whether a kept pair consists of two equal infinities.
  bool infinities_poison() const {
    if (list_.finite) return false;
    const int64_t end = both() ? top() : list_.size;
    for (int64_t begin = 0, next = 0; begin < end; begin = next) {
      bool differ = all_pairs();
      for (next = begin; next < end && list_.score[next] == list_.score[begin]; ++next) {
        differ |= list_.grade[next] != list_.grade[begin];
      }
      if (std::isinf(list_.score[begin]) && differ && begin < top()) return true;
    }
    return false;
  }

  ListResult poison(int64_t b, double* statistics) const {
    poison_raw_grad(args_, b);
    if (statistics != nullptr) {
      statistics[0] = 0;
      statistics[1] = statistics[2] = std::nan("");
    }
    return {std::nan(""), 0, true};
  }

  // Reads the gains that the loss or its statistics need, divides them by the maximal DCG, and
  // writes the NDCG to the statistics. False if the loss uses a gain that is not finite.
  bool read_gains(int64_t first_slot, double* statistics) {
    std::fill_n(list_.gain, list_.size, 0.0);
    if (args_.weighs_gains() || statistics != nullptr) {
      if (list_.read_gains(args_.gain, args_.gains, first_slot)) {
        divide_gains(statistics);
      } else if (args_.weighs_gains()) {
        return false;
      } else {
        statistics[2] = std::nan("");
      }
    }
    return args_.scheme != Scheme::kArp || list_.read_labels_as_gains();
  }

  // Divides the gains by the maximal DCG, and writes the NDCG to the statistics.
  void divide_gains(double* statistics) {
    const double* discount = tables_.discount.data();
    const double maximum = max_dcg(list_, discount, top(), args_.gains == nullptr, scratch_);
    double dcg = 0;
    for (int64_t r = 0; r < top(); ++r) dcg += list_.gain[r] * discount[r];
    if (statistics != nullptr) statistics[2] = maximum > 0 ? dcg / maximum : std::nan("");
    for (int64_t r = 0; r < list_.size; ++r) {
      list_.gain[r] = maximum > 0 ? list_.gain[r] / maximum : 0;
    }
  }

  LambdaProblem make_problem() {
    LambdaProblem problem;
    problem.size = list_.size;
    problem.top = top();
    if (both() && problem.top < list_.size) {
      problem.size = problem.top;
      keep_top(problem.top);
    }
    for (int64_t r = 0; r < problem.size; ++r) {
      more_weight_[r] = list_.weight[r];
      less_weight_[r] = args_.preferred ? 1 : list_.weight[r];
    }
    problem.score = list_.score;
    problem.gain = list_.gain;
    problem.discount = tables_.weight_discount.data();
    problem.more_weight = more_weight_;
    problem.less_weight = less_weight_;
    problem.grad = list_.grad;
    problem.grade = list_.grade;
    problem.by_grade = list_.by_grade;
    problem.grade_starts = list_.grade_starts;
    problem.num_grades = list_.num_grades;
    problem.all_pairs = all_pairs();
    problem.loss = loss_loop();
    problem.weight = weight_loop();
    problem.normalized = args_.score_normalization && problem.size > 0 &&
                         list_.score[0] != list_.score[list_.size - 1];
    problem.delta = tables_.delta.data();
    problem.term = {args_.sigma, args_.margin};
    return problem;
  }

  // Removes the items of ranks beyond the top from the grades.
  void keep_top(int64_t top) {
    int32_t kept = 0;
    for (int64_t grade = 0; grade < list_.num_grades; ++grade) {
      const int32_t begin = list_.grade_starts[grade], end = list_.grade_starts[grade + 1];
      list_.grade_starts[grade] = kept;
      for (int32_t t = begin; t < end; ++t) {
        if (list_.by_grade[t] < top) list_.by_grade[kept++] = list_.by_grade[t];
      }
    }
    list_.grade_starts[list_.num_grades] = kept;
  }

  LossLoop loss_loop() const {
    switch (args_.pair_loss) {
      case PairLoss::kHinge:
        return LossLoop::kHinge;
      case PairLoss::kSquaredHinge:
        return LossLoop::kSquaredHinge;
      default:
        return kWide ? LossLoop::kWideLogistic : LossLoop::kNarrowLogistic;
    }
  }

  WeightLoop weight_loop() const {
    switch (args_.scheme) {
      case Scheme::kArp:
        return WeightLoop::kGain;
      case Scheme::kLambdaRank:
        return WeightLoop::kDeltaNdcg;
      case Scheme::kNdcgLoss2:
      case Scheme::kNdcgLoss2pp:
        return WeightLoop::kRankDistance;
      default:
        return WeightLoop::kUnit;
    }
  }

  // Returns the summed item weights of the pairs. Afterwards multiplies the weights by the factor
  // of ndcg_loss1.
  double sum_pair_weights(const LambdaProblem& problem) {
    // Items of the top and of the rest.
    double more[2] = {}, less[2] = {}, pairs = 0;
    const auto take_grade = [&](const double (&more)[2]) {
      pairs += more[0] * (less[0] + less[1]) + more[1] * less[0];
    };
    for (int64_t grade = 0; grade < problem.num_grades; ++grade) {
      double own_less[2] = {};
      if (!all_pairs()) more[0] = more[1] = 0;
      for (int64_t t = problem.grade_starts[grade]; t < problem.grade_starts[grade + 1]; ++t) {
        const int32_t r = problem.by_grade[t];
        const bool rest = r >= problem.top;
        more[rest] += more_weight_[r];
        own_less[rest] += less_weight_[r];
      }
      if (!all_pairs()) take_grade(more);
      less[0] += own_less[0];
      less[1] += own_less[1];
    }
    if (all_pairs()) {
      take_grade(more);
      for (int64_t r = 0; r < problem.size; ++r) {
        more_weight_[r] *= list_.gain[r] * tables_.weight_discount[r];
      }
    }
    return pairs;
  }

  // Whether the weights of the scheme factor for some lists (scannable), for all lists
  // (always_factors), and whether this list is solved by a scan (use_scan).
  bool scannable() const {
    return weight_loop() != WeightLoop::kRankDistance && !args_.score_normalization;
  }
  // Truncation to k leaves as few pairs as a list of about 2 k items has.
  bool few_pairs(int64_t size) const {
    return size <= scan_threshold() || (args_.k > 0 && !both() && 2 * args_.k <= scan_threshold());
  }
  bool always_factors() const {
    return scannable() &&
           (args_.scheme != Scheme::kLambdaRank || (args_.gains == nullptr && tables_.falling));
  }
  bool always_scans(int64_t slots) const { return always_factors() && !few_pairs(slots); }
  bool use_scan(const LambdaProblem& problem) const {
    return scannable() && !few_pairs(problem.size) &&
           (args_.scheme != Scheme::kLambdaRank || (list_.rising && tables_.falling));
  }
  int64_t scan_threshold() const {
    const int features = weight_loop() == WeightLoop::kUnit   ? 0
                         : weight_loop() == WeightLoop::kGain ? 1
                                                              : 2;
    if (args_.pair_loss != PairLoss::kLogistic) return kDirectHinge[features];
    return kWide ? kDirectWide : kDirectLogistic[features];
  }

  const LambdaArgs& args_;
  const ListReader<Score>& reader_;
  const RankTables& tables_;
  Workspace workspace_;
  RankedList<Score> list_;
  double* more_weight_;
  double* less_weight_;
  double* scratch_;
  int64_t* tree_;
  LambdaScan scan_;
  LambdaDirect direct_;
};

}  // namespace fused_rankloss::cpu::lambda
