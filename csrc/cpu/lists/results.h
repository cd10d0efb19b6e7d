// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "common/lists.h"
#include "common/reduction.h"

namespace fused_rankloss::cpu {

// What the loss needs of one list.
struct ListResult {
  double value = 0;
  double pairs = 0;  // summed pair weight, or 1 for a list that counts; 0 for a poisoned list
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

// Zeroes the gradients of a list's slots and of the padding behind them, or makes those of its
// items NaN once it is known to be poisoned.
template <typename Args>
void clear_raw_grad(const Args& args, int64_t list) {
  if (args.raw_grad == nullptr) return;
  const Range slots = args.lists.slots(list);
  const int64_t end = args.lists.offsets ? slots.end : (list + 1) * args.lists.width;
  visit_raw_grad(args, slots.begin, [&](auto* grad) { std::fill_n(grad, end - slots.begin, 0); });
}

// The same for losses that store a gradient for every item: only what they pass over is zeroed.
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

// The loss, and the scale of each list's sum in it.
template <typename Real, typename Args>
void reduce_results(const Args& args, const std::vector<ListResult>& results) {
  double total = 0, lists_with_pairs = 0;
  for (const ListResult& list : results) {
    total += list.pairs;
    lists_with_pairs += list.pairs > 0;
  }
  Real* loss = static_cast<Real*>(args.loss);
  double sum = 0;
  for (size_t b = 0; b < results.size(); ++b) {
    const ListResult& list = results[b];
    args.list_scale[b] = list.poisoned
                             ? std::nan("")
                             : reduction_scale(args.reduction, list.pairs, total, lists_with_pairs,
                                               static_cast<double>(results.size()), list.unit);
    const double term = args.list_scale[b] * (list.value / list.unit);
    if (args.reduction == Reduction::kNone) loss[b] = static_cast<Real>(term);
    sum += term;
  }
  if (args.reduction != Reduction::kNone) *loss = static_cast<Real>(sum);
}

}  // namespace fused_rankloss::cpu
