// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "common/lists.h"
#include "common/reduction.h"
#include "common/weights.h"

namespace fused_rankloss::cpu {

// What the loss needs from one list.
struct ListResult {
  double value = 0;
  double pairs = 0;  // summed pair weight, or 1 for a list that counts (listwise); 0 if poisoned
  bool poisoned = false;
  double unit = 1;  // of the stored gradients, a power of two
};

// Calls visit(typed pointer to raw_grad of the list's first slot).
template <typename Args, typename Visit>
void visit_raw_grad(const Args& args, int64_t slot, Visit&& visit) {
  if (args.score_type == ScoreType::kDouble) {
    visit(static_cast<double*>(args.raw_grad) + slot);
  } else {
    visit(static_cast<float*>(args.raw_grad) + slot);
  }
}

// Zeroes the gradients of a list's slots and of the padding behind them. (poison_raw_grad makes
// those of its items NaN once the list is known to be poisoned.)
template <typename Args>
void clear_raw_grad(const Args& args, int64_t list) {
  if (args.raw_grad == nullptr) return;
  const Range slots = args.lists.slots(list);
  const int64_t end = args.lists.offsets ? slots.end : (list + 1) * args.lists.width;
  visit_raw_grad(args, slots.begin, [&](auto* grad) { std::fill_n(grad, end - slots.begin, 0); });
}

// The same for losses that store a gradient for every item: zeroes only the slots that they skip.
template <typename Args>
void clear_raw_grad_of_padding(const Args& args, int64_t list) {
  if (args.raw_grad == nullptr) return;
  if (args.lists.mask != nullptr) {
    clear_raw_grad(args, list);
  } else if (!args.lists.offsets) {
    const int64_t begin = args.lists.slots(list).end, end = (list + 1) * args.lists.width;
    visit_raw_grad(args, begin, [&](auto* grad) { std::fill_n(grad, end - begin, 0); });
  }
}

template <typename Args>
void poison_raw_grad(const Args& args, int64_t list) {
  if (args.raw_grad == nullptr) return;
  const Range slots = args.lists.slots(list);
  visit_raw_grad(args, slots.begin, [&](auto* grad) {
    for (int64_t t = 0; t < slots.size(); ++t) {
      if (args.lists.is_real(slots.begin + t)) grad[t] = std::nan("");
    }
  });
}

// Stores the scale of each list's sum in the loss: NaN for a poisoned list, 0 for one that weighs
// nothing.
template <typename Args, typename Result>
void store_list_scales(const Args& args, const std::vector<Result>& lists) {
  double total = 0, lists_with_pairs = 0;
  for (size_t b = 0; b < lists.size(); ++b) {
    const double weight = args.list_weight(b);
    if (!(lists[b].pairs > 0) || !is_weight(weight)) continue;
    total += weight * lists[b].pairs;
    lists_with_pairs += weight;
  }
  for (size_t b = 0; b < lists.size(); ++b) {
    const Result& list = lists[b];
    const double weight = args.list_weight(b);
    const double scale = reduction_scale(args.reduction, list.pairs, total, lists_with_pairs,
                                         static_cast<double>(lists.size()), list.unit);
    args.list_scale[b] =
        list.poisoned || !is_weight(weight) ? std::nan("") : weighted(weight, scale);
  }
}

// The loss, and the scale of each list's sum in it.
template <typename Real, typename Args>
void reduce_results(const Args& args, const std::vector<ListResult>& results) {
  store_list_scales(args, results);
  Real* loss = static_cast<Real*>(args.loss);
  double sum = 0;
  for (size_t b = 0; b < results.size(); ++b) {
    const ListResult& list = results[b];
    const double term = weighted(args.list_scale[b], list.value / list.unit);
    if (args.reduction == Reduction::kNone) loss[b] = static_cast<Real>(term);
    sum += term;
  }
  if (args.reduction != Reduction::kNone) *loss = static_cast<Real>(sum);
}

}  // namespace fused_rankloss::cpu
