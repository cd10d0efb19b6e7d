// SPDX-License-Identifier: BSD-3-Clause
//
// ListNet over one list, with gradient: sum_i w_i p_i (L - s_i), p = softmax(labels),
// L = log sum_j exp(s_j). With e_i = exp(y_i - max y) and f_i = exp(s_i - max s)
//
//   value  = sum_i w_i e_i (log sum_j f_j + max s - s_i) / sum_j e_j
//   grad_i = (sum_j w_j e_j / sum_j e_j) f_i / sum_j f_j - w_i e_i / sum_j e_j
//
// so items need no order: one pass reads them and finds the maxima, one makes the exponentials and
// their sums, one the gradients. Each goes chunk by chunk, by all threads. fp64 throughout, in O(n)
// memory; exponentials are as precise as scores of a type deserve.
//
// Source: Cao et al., "Learning to rank: from pairwise approach to listwise approach" (2007).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "args/listwise.h"
#include "common/workspace.h"
#include "cpu/lists/parallel.h"
#include "cpu/lists/reader.h"
#include "cpu/lists/results.h"
#include "cpu/simd/listwise_loops.h"

namespace fused_rankloss::cpu::listwise {

template <typename Score>
class ListNetList {
 public:
  ListNetList(const ListwiseArgs& args, const ListReader<Score>& reader, std::byte* memory,
              int64_t slots)
      : ListNetList(args, reader, Workspace(memory), slots) {}

  static int64_t workspace_bytes(const ListwiseArgs& args, const ListReader<Score>& reader,
                                 int64_t slots) {
    return ListNetList(args, reader, Workspace(), slots).workspace_.bytes();
  }

  ListResult solve(int64_t b, const Team& team) {
    clear_raw_grad_of_padding(args_, b);
    read(args_.lists.slots(b), team);
    if (poisoned_) {
      poison_raw_grad(args_, b);
      return {std::nan(""), 0, true};
    }
    if (size_ == 0) return {};
    const ListNetSums sums = sum_chunks(team);
    // log of the sum without its first 1, which would swallow the rest.
    const double log_sum = std::log1p((sums.tops - 1) + sums.rest);
    if (args_.raw_grad != nullptr) {
      const double mass = sums.weighted / sums.labels;
      store_gradients(args_.lists.slots(b).begin, mass / (sums.tops + sums.rest), 1 / sums.labels,
                      team);
    }
    return {(sums.weighted * log_sum + sums.spread) / sums.labels, 1, false};
  }

 private:
  static constexpr bool kWide = sizeof(Score) == sizeof(double);
  static_assert(kListChunk <= kBlock);

  ListNetList(const ListwiseArgs& args, const ListReader<Score>& reader, Workspace workspace,
              int64_t slots)
      : args_(args),
        reader_(reader),
        workspace_(workspace),
        score_(workspace_.take<double>(slots)),
        label_(workspace_.take<double>(slots)),
        weight_(reader.weighted() ? workspace_.take<double>(slots) : nullptr),
        position_(args.lists.mask == nullptr ? nullptr : workspace_.take<int32_t>(slots)) {}

  static int64_t num_chunks(int64_t size) { return (size + kListChunk - 1) / kListChunk; }
  static Range chunk(int64_t number, int64_t size) {
    return {number * kListChunk, std::min((number + 1) * kListChunk, size)};
  }

  // What the items of a chunk of slots have.
  struct Found {
    double top_score = -std::numeric_limits<double>::infinity();
    double top_label = -std::numeric_limits<double>::infinity();
    bool finite = true;    // scores
    bool has_nan = false;  // or what is no weight
  };

  // Items in a row, whatever lies between them: where a chunk's go depends on those before.
  void read(Range slots, const Team& team) {
    const int64_t chunks = num_chunks(slots.size());
    std::vector<int64_t> starts(chunks + 1);
    const bool dense = args_.lists.mask == nullptr;
    (dense ? Team::single() : team).run(chunks, [&](int64_t number, int) {
      const Range range = chunk(number, slots.size());
      starts[number + 1] = dense ? range.size() : count(slots, range);
    });
    for (int64_t number = 0; number < chunks; ++number) starts[number + 1] += starts[number];
    size_ = starts[chunks];
    std::vector<Found> found(chunks);
    team.run(chunks, [&](int64_t number, int) {
      found[number] = read_chunk(slots, chunk(number, slots.size()), starts[number]);
    });
    Found all;
    for (const Found& one : found) {
      all.top_score = std::max(all.top_score, one.top_score);
      all.top_label = std::max(all.top_label, one.top_label);
      all.finite &= one.finite;
      all.has_nan |= one.has_nan;
    }
    top_score_ = all.top_score;
    top_label_ = all.top_label;
    // An infinite largest label is no distribution.
    poisoned_ = !all.finite || all.has_nan || (size_ > 0 && !std::isfinite(top_label_));
  }

  int64_t count(Range slots, Range range) const {
    int64_t items = 0;
    for (int64_t t = range.begin; t < range.end; ++t) items += args_.lists.is_real(slots.begin + t);
    return items;
  }

  Found read_chunk(Range slots, Range range, int64_t start) const {
    Found found;
    const ItemValues items{score_ + start, label_ + start,
                           weight_ == nullptr ? nullptr : weight_ + start,
                           position_ == nullptr ? nullptr : position_ + start};
    const int64_t size = reader_.read_values(slots.begin + range.begin,
                                             static_cast<int>(range.size()), items, found.finite);
    if (size == 0) return found;
    for (int64_t t = 0; items.position != nullptr && t < size; ++t) {
      items.position[t] += static_cast<int32_t>(range.begin);
    }
    const ListwiseLoops& loops = listwise_loops();
    found.has_nan = loops.has_nan(items.label, size) ||
                    (items.weight != nullptr && !loops.are_weights(items.weight, size));
    if (found.has_nan || !found.finite) return found;
    found.top_score = loops.extremes(items.score, size).highest;
    found.top_label = loops.extremes(items.label, size).highest;
    return found;
  }

  ListNetItems items(int64_t number) const {
    const Range range = chunk(number, size_);
    return {range.size(),         top_score_,
            top_label_,           score_ + range.begin,
            label_ + range.begin, weight_ == nullptr ? nullptr : weight_ + range.begin};
  }

  ListNetSums sum_chunks(const Team& team) const {
    std::vector<ListNetSums> parts(num_chunks(size_));
    team.run(parts.size(), [&](int64_t number, int) {
      parts[number] = listwise_loops().list_net_sums[kWide](items(number));
    });
    ListNetSums sums;
    for (const ListNetSums& part : parts) sums.add(part);
    return sums;
  }

  void store_gradients(int64_t first_slot, double score_factor, double target_factor,
                       const Team& team) const {
    visit_raw_grad(args_, first_slot, [&](auto* grad) {
      using Real = std::remove_pointer_t<decltype(grad)>;
      team.run(num_chunks(size_), [&](int64_t number, int) {
        const int64_t start = number * kListChunk;
        if (position_ == nullptr) {
          gradients(items(number), score_factor, target_factor, grad + start);
          return;
        }
        Real own[kListChunk];
        const ListNetItems chunk = items(number);
        gradients(chunk, score_factor, target_factor, own);
        for (int64_t t = 0; t < chunk.size; ++t) grad[position_[start + t]] = own[t];
      });
    });
  }

  static void gradients(const ListNetItems& items, double score_factor, double target_factor,
                        float* out) {
    listwise_loops().list_net_gradients(items, score_factor, target_factor, out);
  }
  static void gradients(const ListNetItems& items, double score_factor, double target_factor,
                        double* out) {
    listwise_loops().list_net_wide_gradients(items, score_factor, target_factor, out);
  }

  const ListwiseArgs& args_;
  const ListReader<Score>& reader_;
  Workspace workspace_;
  double* score_;
  double* label_;
  double* weight_;     // or null
  int32_t* position_;  // slot in the list, or null where it is the item's number
  int64_t size_ = 0;
  double top_score_ = 0;
  double top_label_ = 0;
  bool poisoned_ = false;
};

}  // namespace fused_rankloss::cpu::listwise
