// SPDX-License-Identifier: BSD-3-Clause
//
// The losses of whole lists, with gradients. w_i multiplies the term of item i.
//
// listnet      sum_i w_i p_i (L - s_i), p = softmax(labels), L = log sum_j exp(s_j): two sums of
//              exponentials below their maximum.
// list_mle     sum_t c_t (l_t - s_t) in the order of labels, l_t = log sum_{u >= t} exp(s_u). From
// the
//              back l_t = s_t + softplus(l_{t+1} - s_t), whose second part is the term, to full
//              relative accuracy. The gradient of s_m is exp(s_m - l_m) q_m - c_m with
//              q_m = q_{m-1} exp(l_m - l_{m-1}) + c_m, a recurrence with factors <= 1.
// approx_ndcg  -sum_i w_i g_i / log2(1 + r_i) with soft ranks r_i = 1 + sum_j sigmoid((s_j - s_i) /
// T):
//              soft_ranks.h.
//
// Everything is fp64 and in the order of one list, by one thread; memory is O(n).
//
// Sources: Cao et al., "Learning to rank" (2007); Xia et al., "Listwise approach to learning to
// rank" (2008); Lan et al., "Position-aware ListMLE" (2014); Qin et al., "A general approximation
// framework for direct optimization of information retrieval measures" (2010).
#pragma once

#include <cmath>
#include <limits>

#include "common/listwise_args.h"
#include "cpu/list_results.h"
#include "cpu/ranked_list.h"
#include "cpu/soft_ranks.h"
#include "losses/listwise_terms.h"

namespace fused_rankloss::cpu {

template <typename Score>
class ListwiseList {
 public:
  ListwiseList(const ListwiseArgs& args, const ListReader<Score>& reader, std::byte* memory,
               int64_t slots)
      : ListwiseList(args, reader, Arena(memory), slots) {}

  static int64_t workspace_bytes(const ListwiseArgs& args, const ListReader<Score>& reader,
                                 int64_t slots) {
    return ListwiseList(args, reader, Arena(), slots).arena_.used();
  }

  ListResult solve(int64_t b, const Team& team) {
    const Range slots = args_.lists.slots(b);
    clear_raw_grad(args_, b);
    if (!list_.read(reader_, slots, args_.label_type, args_.gain, args_.gains, team) ||
        !list_.finite) {
      poison_raw_grad(args_, b);
      return {std::nan(""), 0, true};
    }
    ListResult result;
    switch (args_.loss_kind) {
      case ListwiseLoss::kListNet:
        result = list_net();
        break;
      case ListwiseLoss::kListMle:
        result = list_mle();
        break;
      default:
        result = approx_ndcg();
    }
    if (args_.raw_grad != nullptr && result.pairs > 0) {
      visit_raw_grad(args_, slots.begin, [&](auto* grad) {
        using Real = std::remove_pointer_t<decltype(grad)>;
        for (int64_t r = 0; r < list_.size; ++r) {
          grad[list_.position[r]] = static_cast<Real>(list_.grad[r]);
        }
      });
    }
    return result;
  }

 private:
  ListwiseList(const ListwiseArgs& args, const ListReader<Score>& reader, Arena arena,
               int64_t slots)
      : args_(args),
        reader_(reader),
        arena_(arena),
        list_(arena_, slots),
        terms_(arena_.take<double>(slots + 1)),
        factors_(arena_.take<double>(slots)) {}

  double label(int64_t r) const { return list_.level_label[list_.level[r]]; }

  ListResult list_net() {
    const int64_t size = list_.size;
    if (size == 0) return {};
    // The scores' sum of exponentials, relative to the first and largest.
    const double top_score = list_.score[0], top_label = list_.level_label[list_.num_levels - 1];
    double *scores = terms_, *labels = factors_;
    for (int64_t r = 0; r < size; ++r) {
      scores[r] = top_score - list_.score[r];
      labels[r] = top_label - label(r);
    }
    lambda_loops().exponentials(scores, size, scores);
    lambda_loops().exponentials(labels, size, labels);
    double score_sum = 0, label_sum = 0, weighted_sum = 0;
    for (int64_t r = 0; r < size; ++r) {
      score_sum += scores[r];
      label_sum += labels[r];
      weighted_sum += list_.weight[r] * labels[r];
    }
    // log of the sum without its first 1, which would swallow the rest.
    double rest = 0;
    for (int64_t r = size - 1; r > 0; --r) rest += scores[r];
    const double log_sum = std::log1p(rest);
    ListResult result{0, 1, false};
    for (int64_t r = 0; r < size; ++r) {
      const double target = list_.weight[r] * labels[r] / label_sum;
      result.value += target * (log_sum + (top_score - list_.score[r]));
      list_.grad[r] = weighted_sum / label_sum * (scores[r] / score_sum) - target;
    }
    return result;
  }

  ListResult list_mle() {
    const int64_t size = list_.size;
    if (list_.num_levels < 2) return {};
    // by_level has ranks in a level, here it is positions.
    int32_t* order = list_.by_level;
    for (int64_t level = 0; level < list_.num_levels; ++level) {
      std::sort(order + list_.level_starts[level], order + list_.level_starts[level + 1],
                [&](int32_t a, int32_t b) { return list_.position[a] > list_.position[b]; });
    }
    std::reverse(order, order + size);
    double log_sum = -std::numeric_limits<double>::infinity();
    ListResult result{0, 1, false};
    for (int64_t t = size - 1; t >= 0; --t) {
      const int32_t r = order[t];
      const double behind = log_sum - list_.score[r];
      const auto step = LogSumStep::of(behind, std::exp(-std::fabs(behind)));
      terms_[t] = step.term(behind);
      factors_[t] = step.decay;
      log_sum = std::fmax(log_sum, list_.score[r]) + step.tail;
    }
    const PositionWeights positions{args_.position_weights, args_.num_position_weights,
                                    args_.exponential_positions};
    double passed = 0;
    for (int64_t t = 0; t < size; ++t) {
      const int32_t r = order[t];
      const double weight = positions.at(t, size) * list_.weight[r];
      result.value += weight * terms_[t];
      if (t > 0) passed *= factors_[t - 1];
      passed += weight;
      list_.grad[r] = std::exp(-terms_[t]) * passed - weight;
    }
    return result;
  }

  ListResult approx_ndcg() {
    const int64_t size = list_.size;
    for (int64_t r = 0; r < size; ++r) factors_[r] = log2_discount(r + 1);
    const double maximum = max_dcg(list_, factors_, size, args_.gains == nullptr, terms_);
    if (!(maximum > 0)) return {};
    double* distances = factors_;
    for (int64_t r = 0; r < size; ++r) {
      distances[r] = (list_.score[r] - list_.score[0]) / args_.temperature;
    }
    double* ranks = terms_;
    SoftRanks::ranks(distances, size, std::is_same_v<Score, double>, ranks);
    ListResult result{0, 1, false};
    for (int64_t r = 0; r < size; ++r) {
      const auto term = SoftRankTerm::of(list_.weight[r] * list_.gain[r] / maximum, ranks[r]);
      result.value += term.value;
      ranks[r] = term.slope;
    }
    if (args_.raw_grad != nullptr) {
      SoftRanks::gradients(distances, ranks, size, std::is_same_v<Score, double>, list_.grad);
      for (int64_t r = 0; r < size; ++r) list_.grad[r] /= args_.temperature;
    }
    return result;
  }

  const ListwiseArgs& args_;
  const ListReader<Score>& reader_;
  Arena arena_;
  RankedList<Score> list_;
  double* terms_;
  double* factors_;
};

}  // namespace fused_rankloss::cpu
