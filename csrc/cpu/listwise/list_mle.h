// SPDX-License-Identifier: BSD-3-Clause
//
// ListMLE over one list, with gradient. In the order of labels, l_t = log sum_{u >= t} exp(s_u):
//
//   value  = sum_t c_t (l_t - s_t)
//   grad_m = exp(s_m) sum_{t <= m} c_t exp(-l_t) - c_m
//
// The order is cut into chunks. Each has a reference R_b, the largest score of it and of all behind
// it, so that R falls from chunk to chunk, and works with exp(s - R_b):
//
//   S_t = sum_{u >= t} exp(s_u - R_b)     from the back, exp(l_t - R_b)
//   P_t = sum_{u <= t} c_u / S_u          from the front, what exp(s_t - R_b) meets
//
// Chunks make theirs side by side, then what comes from behind (S) and from before (P) is passed
// along, times exp(R_{b+1} - R_b) <= 1. All terms of S are positive, so nothing cancels; and
// nothing that counts is lost as long as S_t, which is not below exp(R_{b+1} - R_b), and the
// exponentials that it is compared with stay in the range of numbers. A chunk whose largest score
// is too far above all behind it goes item by item instead, as logarithms: see solve_by_items.
//
// fp64 throughout, in O(n) memory; sums over items go in an order that depends on their number.
//
// Sources: Xia et al., "Listwise approach to learning to rank" (2008); Lan et al., "Position-aware
// ListMLE" (2014).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "args/listwise.h"
#include "common/workspace.h"
#include "cpu/lists/label_order.h"
#include "cpu/lists/results.h"
#include "cpu/simd/listwise_loops.h"

namespace fused_rankloss::cpu::listwise {

template <typename Score>
class ListMleList {
 public:
  ListMleList(const ListwiseArgs& args, const ListReader<Score>& reader, std::byte* memory,
              int64_t slots)
      : ListMleList(args, reader, Workspace(memory), slots) {}

  static int64_t workspace_bytes(const ListwiseArgs& args, const ListReader<Score>& reader,
                                 int64_t slots) {
    return ListMleList(args, reader, Workspace(), slots).workspace_.bytes();
  }

  ListResult solve(int64_t b, const Team& team) {
    slots_ = args_.lists.slots(b);
    clear_raw_grad_of_padding(args_, b);
    if (!read(team)) {
      poison_raw_grad(args_, b);
      return {std::nan(""), 0, true};
    }
    if (!has_order_) {
      clear_raw_grad(args_, b);
      return {};
    }
    sum_exponentials(team);
    carry_sums();
    ListResult result{0, 1, false};
    result.value = sum_terms(team);
    if (args_.raw_grad != nullptr) {
      visit_raw_grad(args_, slots_.begin, [&](auto* grad) {
        carry_weights(grad);
        store_gradients(grad, team);
      });
    }
    return result;
  }

 private:
  using Key = decltype(ordered_key(Score{}));
  static constexpr bool kWide = sizeof(Score) == sizeof(double);

  // How far R_b may be above R_{b+1}. The difference R_b - s is rounded by u of itself, which costs
  // an exponential of s as much, relatively: for fp64 scores more than a few units would show.
  static constexpr double kLargestDrop = kWide ? 64 : 300;
  // What exp_of_negative takes before its results leave the normal range.
  static constexpr double kLargestGap = 708;

  struct Chunk {
    double highest;
    double lowest;
    double top;     // R
    double sum;     // of exp(s - R), over the chunk
    double behind;  // that over all items behind it
    double passed;  // sum of c_t / exp(l_t - R) over the chunk
    double value;
    double before;  // `passed` over all items before the chunk
    bool by_items;
  };

  ListMleList(const ListwiseArgs& args, const ListReader<Score>& reader, Workspace workspace,
              int64_t slots)
      : args_(args),
        reader_(reader),
        workspace_(workspace),
        score_(workspace_.take<double>(slots)),
        weight_(workspace_.take<double>(slots)),
        slot_(workspace_.take<int32_t>(slots)),
        // Of the sort, and later of the sums.
        items_(workspace_.take<std::byte>(slots * item_bytes(args))),
        scratch_(workspace_.take<std::byte>(slots * item_bytes(args))),
        own_(reinterpret_cast<double*>(items_)),
        sums_(reinterpret_cast<double*>(scratch_)) {
    static_assert(sizeof(Item<uint32_t>) == sizeof(double));
  }

  static int64_t item_bytes(const ListwiseArgs& args) {
    const bool wide_labels =
        args.label_type == LabelType::kInt64 || args.label_type == LabelType::kDouble;
    return wide_labels ? sizeof(Item<uint64_t>) : sizeof(Item<Key>);
  }

  // ---- The order of labels -------------------------------------------------

  // False if the list is poisoned.
  bool read(const Team& team) {
    const ListSummary summary = summarize(reader_, slots_, team);
    size_ = summary.num_items;
    if (!summary.finite) return false;
    if (summary.countable()) return size_ == 0 || count_labels(summary, team);
    const bool narrow = summary.integers ? summary.label_span() <= UINT32_MAX
                                         : args_.label_type != LabelType::kDouble;
    return narrow ? sort_labels<uint32_t>(summary, team) : sort_labels<uint64_t>(summary, team);
  }

  bool count_labels(const ListSummary& summary, const Team& team) {
    static const ScoreBins<Score> kOneBin;
    auto* items = reinterpret_cast<Item<Key>*>(items_);
    order_by_counting(reader_, slots_, summary, kOneBin, items,
                      reinterpret_cast<uint16_t*>(scratch_), team, LabelOrder::kDescending);
    has_order_ = summary.min_label != summary.max_label;
    return take_order(team, [&](int64_t t, int32_t& slot) {
      slot = static_cast<int32_t>(items[t].index);
      return static_cast<double>(value_of_key(items[t].key));
    });
  }

  template <typename LabelKey>
  bool sort_labels(const ListSummary& summary, const Team& team) {
    const Item<LabelKey>* items = order_by_sorting(
        reader_, slots_, summary, args_.label_type, reinterpret_cast<Item<LabelKey>*>(items_),
        reinterpret_cast<Item<LabelKey>*>(scratch_), team, LabelOrder::kDescending);
    if (items == nullptr) return false;
    has_order_ = size_ > 0 && items[0].key != items[size_ - 1].key;
    return take_order(team, [&](int64_t t, int32_t& slot) {
      slot = static_cast<int32_t>(items[t].index);
      return static_cast<double>(reader_.score(slots_.begin + slot));
    });
  }

  // Copies what take(t, slot) finds, with weights and extremes. False if a weight is none.
  template <typename Take>
  bool take_order(const Team& team, Take&& take) {
    chunks_.resize((size_ + kListChunk - 1) / kListChunk);
    const PositionWeights positions{args_.position_weights, args_.num_position_weights,
                                    args_.exponential_positions};
    const bool equal = args_.position_weights == nullptr && !args_.exponential_positions;
    std::vector<char> spoiled(chunks_.size());
    team.run(chunks_.size(), [&](int64_t number, int) {
      const Range range = range_of(number);
      for (int64_t t = range.begin; t < range.end; ++t) {
        score_[t] = take(t, slot_[t]);
        weight_[t] = 1;
      }
      if (reader_.weighted()) {
        for (int64_t t = range.begin; t < range.end; ++t) {
          weight_[t] = reader_.more_weight(slots_.begin + slot_[t]);
        }
        spoiled[number] = !listwise_loops().are_weights(weight_ + range.begin, range.size());
      }
      for (int64_t t = range.begin; !equal && t < range.end; ++t) {
        weight_[t] *= positions.at(t, size_);
      }
      const Extremes found = listwise_loops().extremes(score_ + range.begin, range.size());
      chunks_[number].highest = found.highest;
      chunks_[number].lowest = found.lowest;
    });
    return std::find(spoiled.begin(), spoiled.end(), 1) == spoiled.end();
  }

  // ---- Sums ----------------------------------------------------------------

  int64_t num_chunks() const { return static_cast<int64_t>(chunks_.size()); }

  Range range_of(int64_t number) const {
    return {number * kListChunk, std::min((number + 1) * kListChunk, size_)};
  }

  ListMleChunk loop_args(int64_t number) const {
    const Range range = range_of(number);
    return {range.size(),          chunks_[number].top, score_ + range.begin,
            weight_ + range.begin, own_ + range.begin,  sums_ + range.begin};
  }

  // Runs body(number) for the chunks that do not go item by item.
  template <typename Body>
  void run_chunks(const Team& team, Body&& body) {
    team.run(num_chunks(), [&](int64_t number, int) {
      if (!chunks_[number].by_items) body(number);
    });
  }

  void sum_exponentials(const Team& team) {
    double below = score_[size_ - 1];
    for (int64_t number = num_chunks() - 1; number >= 0; --number) {
      Chunk& chunk = chunks_[number];
      chunk.top = std::max(chunk.highest, below);
      // An exponential may be lost where it is below the normal range relative to S, too.
      const double drop = chunk.top - below, gap = chunk.top - chunk.lowest;
      chunk.by_items = drop > kLargestDrop || (drop > 0 && gap > kLargestGap);
      below = chunk.top;
    }
    run_chunks(team, [&](int64_t number) {
      chunks_[number].sum = listwise_loops().list_mle_exponentials[kWide](loop_args(number));
    });
  }

  // exp(R_{b+1} - R_b)
  double fall(int64_t number) const {
    return exp_of_negative<13>(chunks_[number].top - chunks_[number + 1].top);
  }

  void carry_sums() {
    double sum = 0;  // of exp(s - R) over the items of the chunk behind and all behind it
    for (int64_t number = num_chunks() - 1; number >= 0; --number) {
      Chunk& chunk = chunks_[number];
      const bool last = number == num_chunks() - 1;
      if (chunk.by_items) {
        chunk.behind = sum;
        sum = std::exp(sum_by_items(number) - chunk.top);
      } else {
        chunk.behind = last ? 0 : sum * fall(number);
        sum = chunk.sum + chunk.behind;
      }
      chunk.sum = sum;
    }
  }

  double sum_terms(const Team& team) {
    run_chunks(team, [&](int64_t number) {
      Chunk& chunk = chunks_[number];
      const ListMleSums sums =
          listwise_loops().list_mle_terms[kWide](loop_args(number), chunk.behind);
      chunk.value = sums.value;
      chunk.passed = sums.passed;
    });
    double value = 0;
    for (const Chunk& chunk : chunks_) value += chunk.value;
    return value;
  }

  template <typename Real>
  void carry_weights(Real* grad) {
    double passed = 0;
    for (int64_t number = 0; number < num_chunks(); ++number) {
      Chunk& chunk = chunks_[number];
      chunk.before = passed;
      const bool last = number == num_chunks() - 1;
      if (chunk.by_items) {
        passed = gradients_by_items(number, grad);
        if (!last) passed /= chunks_[number + 1].sum;
      } else {
        passed += chunk.passed;
        if (!last) passed *= fall(number);
      }
    }
  }

  template <typename Real>
  void store_gradients(Real* grad, const Team& team) {
    run_chunks(team, [&](int64_t number) {
      Real own[kListChunk];
      const ListMleChunk chunk = loop_args(number);
      gradients(chunk, chunks_[number].before, own);
      const int32_t* slot = slot_ + range_of(number).begin;
      for (int64_t t = 0; t < chunk.size; ++t) grad[slot[t]] = own[t];
    });
  }

  static void gradients(const ListMleChunk& chunk, double passed, float* out) {
    listwise_loops().list_mle_gradients(chunk, passed, out);
  }
  static void gradients(const ListMleChunk& chunk, double passed, double* out) {
    listwise_loops().list_mle_wide_gradients(chunk, passed, out);
  }

  // ---- Item by item --------------------------------------------------------

  // l of the chunk's first item, from l' of the one behind it to l: to full relative accuracy at
  // any scores. `own` becomes the terms l_t - s_t and `sums` exp(l_{t+1} - l_t).
  double sum_by_items(int64_t number) {
    const Range range = range_of(number);
    Chunk& chunk = chunks_[number];
    double log_sum = number == num_chunks() - 1 ? -std::numeric_limits<double>::infinity()
                                                : chunks_[number + 1].top + std::log(chunk.behind);
    chunk.value = 0;
    for (int64_t t = range.end - 1; t >= range.begin; --t) {
      const double behind = log_sum - score_[t];
      const auto step = LogSumStep::of(behind, std::exp(-std::fabs(behind)));
      own_[t] = step.term(behind);
      sums_[t] = step.decay;
      chunk.value += weight_[t] * own_[t];
      log_sum = std::max(log_sum, score_[t]) + step.tail;
    }
    return log_sum;
  }

  // q_m = sum_{t <= m} c_t exp(l_m - l_t) of the chunk's last item, times exp(l_{m+1} - l_m).
  template <typename Real>
  double gradients_by_items(int64_t number, Real* grad) {
    const Range range = range_of(number);
    double passed = chunks_[number].before * chunks_[number].sum;
    for (int64_t t = range.begin; t < range.end; ++t) {
      passed += weight_[t];
      grad[slot_[t]] = static_cast<Real>(std::exp(-own_[t]) * passed - weight_[t]);
      passed *= sums_[t];
    }
    return passed;
  }

  const ListwiseArgs& args_;
  const ListReader<Score>& reader_;
  Workspace workspace_;
  double* score_;   // by place in the order
  double* weight_;  // c
  int32_t* slot_;   // in the list
  std::byte* items_;
  std::byte* scratch_;
  double* own_;   // see ListMleChunk
  double* sums_;  // see ListMleChunk
  Range slots_{};
  int64_t size_ = 0;
  bool has_order_ = false;
  std::vector<Chunk> chunks_;
};

}  // namespace fused_rankloss::cpu::listwise
