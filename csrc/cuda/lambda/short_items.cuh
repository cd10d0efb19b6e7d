// SPDX-License-Identifier: BSD-3-Clause
//
// From the slots of a list to the cells over which its pairs are enumerated (short_pairs.cuh):
//
//   1. sort by (score descending, slot), which gives the ranks
//   2. if gains are given, sort by gain, which gives the maximal DCG
//   3. stable sort by label: an item's grade is the first cell with its label; gains
//   4. with a truncation, the items of the top ranks come first, in the order of their labels, then
//      the remaining items in the order of theirs
//
//   cells   0 ....... top ................... size ....... n
//           labels ascend  | labels ascend      | in no pair (truncation to both ranks)
//
// The columns of a row are then one range of each part, on either side of its own label. No pair
// compares labels, and pairs of equal labels cost nothing.
#pragma once

#include "args/lambda.h"
#include "cuda/lambda/lists.cuh"
#include "cuda/lambda/short_cells.cuh"

namespace fused_rankloss::cuda::lambda {

// The slots of a list of at most kShortLambda.
struct ShortSlots {
  int64_t list;
  int64_t begin;
  int size;
};

struct ShortItems {
  int n = 0;     // items
  int top = 0;   // cells of the top ranks; n without a truncation
  int size = 0;  // cells with pairs
  bool poisoned = false;
  bool has_ndcg = true;
  bool spread = false;  // the scores are not all equal
};

template <typename Real>
class LambdaItemsReader {
 public:
  __device__ __forceinline__ LambdaItemsReader(const LambdaArgs& args, const WarpOrBlock& group,
                                               LambdaCells<Real>& cells, const ShortSlots& slots)
      : args_(args), group_(group), cells_(cells), slots_(slots), first_(group.first_cell()) {}

  // Fills the cells. All threads of the group call this and get the same result.
  __device__ __forceinline__ ShortItems read() {
    ShortItems items = read_scores();
    if (items.poisoned) return items;
    items.top = static_cast<int>(args_.top(items.n));
    items.size = args_.both() ? items.top : items.n;
    GroupSums dcg;
    sort_items(items, dcg);
    if (items.top < items.n) count_top(items);
    rank_labels(items, dcg);
    weigh_items(items.n, dcg.value);
    write_metrics(items, dcg);
    group_.sync();
    return items;
  }

  // Whether a call needs gains, and whether its weights depend on the difference of ranks.
  __device__ __forceinline__ bool needs_gains() const {
    return args_.weighs_gains() || args_.statistics != nullptr;
  }
  __device__ __forceinline__ bool needs_distances() const {
    return args_.scheme == Scheme::kNdcgLoss2 || args_.scheme == Scheme::kNdcgLoss2pp;
  }

 private:
  __device__ __forceinline__ int64_t label_key(int64_t slot) const {
    return label_key_at(args_.labels, args_.label_type, slot);
  }

  __device__ __forceinline__ static uint64_t label_word(int64_t key) {
    return static_cast<uint64_t>(key) ^ 0x8000000000000000ull;
  }

  // Makes score keys, the highest for padding, and stores gradient 0 for padding.
  __device__ __forceinline__ ShortItems read_scores() {
    Real* gradients = static_cast<Real*>(args_.raw_grad);
    ShortItems items;
    LambdaPoison poison;
    poison.loss = !args_.lists.valid(slots_.list);
#pragma unroll 1
    for (int begin = 0; begin < slots_.size; begin += group_.size()) {
      const int cell = begin + group_.thread();
      const int64_t slot = slots_.begin + cell;
      const bool inside = cell < slots_.size;
      const bool real = inside && args_.lists.is_real(slot);
      uint64_t key = UINT64_MAX;
      if (real) {
        const Real score = load_score<Real>(args_, slot);
        const LambdaPoison own = lambda_poison<Real>(args_, slot);
        poison = {poison.loss || own.loss, poison.ndcg || own.ndcg};
        key = static_cast<decltype(ordered_key(score))>(~ordered_key(score));
      } else if (inside && gradients != nullptr) {
        gradients[slot] = 0;
      }
      if (inside) {
        cells_.words.store(first_ + cell, key);
        cells_.places.store(first_ + cell, {static_cast<uint32_t>(cell), 0, 0});
      }
      items.n += group_.count(real);
    }
    items.poisoned = group_.any(poison.loss);
    items.has_ndcg = args_.statistics == nullptr || !group_.any(poison.ndcg);
    return items;
  }

  // Steps 1 to 3: afterwards the items are in the order of their labels, with their ranks; `words`
  // holds the label keys.
  __device__ __forceinline__ void sort_items(ShortItems& items, GroupSums& dcg) {
    enum Pass { kByScore, kByGain, kByLabel };
    const bool by_gain = args_.gains != nullptr && needs_gains();
    int size = slots_.size;
#pragma unroll 1
    for (int pass = kByScore; pass <= kByLabel; ++pass) {
      if (pass == kByGain && !by_gain) continue;
#pragma unroll 1
      for (int cell = group_.thread(); pass != kByScore && cell < items.n; cell += group_.size()) {
        CellPlace place = cells_.places.load(first_ + cell);
        const int64_t slot = slots_.begin + place.slot;
        if (pass == kByGain || !by_gain) place.rank = static_cast<uint32_t>(cell);
        cells_.places.store(first_ + cell, place);
        cells_.words.store(first_ + cell, pass == kByGain ? ~ordered_key(args_.gains[slot])
                                                          : label_word(label_key(slot)));
      }
      group_.sync();
      sort_cells(group_, cells_.words, cells_.places, size);
      if (pass == kByScore && items.n > 0) {
        items.spread = cells_.words.load(first_) != cells_.words.load(first_ + items.n - 1);
      }
#pragma unroll 1
      for (int cell = group_.thread(); pass == kByGain && cell < items.top; cell += group_.size()) {
        dcg.value += value_of_key(~cells_.words.load(first_ + cell)) * args_.discount(cell);
      }
      size = items.n;
      group_.sync();
    }
  }

  __device__ __forceinline__ double label_of(int cell) const {
    const uint64_t key = label_word(static_cast<int64_t>(cells_.words.load(first_ + cell)));
    return label_value(static_cast<int64_t>(key), args_.label_type);
  }

  __device__ __forceinline__ bool is_top(const ShortItems& items, int cell) const {
    return cell < items.n && static_cast<int>(cells_.places.load(first_ + cell).rank) < items.top;
  }

  // Counts the items of the top ranks in each segment of 32 cells.
  __device__ __forceinline__ void count_top(const ShortItems& items) {
#pragma unroll 1
    for (int begin = 0; begin < items.n; begin += group_.size()) {
      const int cell = begin + group_.thread();
      const unsigned votes = __ballot_sync(kAllLanes, is_top(items, cell));
      if (lane_index() == 0) cells_.counts.store((first_ + cell) / kWarpSize, __popc(votes));
    }
    group_.sync();
  }

  // Puts the items into their cells, those of the top first, with grades and unnormalised gains.
  // Sums over the group the maximal DCG (value), the DCG (slope), and the number of pairs of
  // different labels.
  __device__ __forceinline__ void rank_labels(const ShortItems& items, GroupSums& dcg) {
    const double highest = items.n > 0 ? label_of(items.n - 1) : 0;
    const bool by_label = needs_gains() && args_.gains == nullptr;
    int top_before = 0;                // items of the top in cells of earlier warps and rounds
    int counted = first_ / kWarpSize;  // next segment of count_top to be added
#pragma unroll 1
    for (int begin = 0; begin < items.n; begin += group_.size()) {
      const int cell = begin + group_.thread();
      int target = cell;
      if (items.top < items.n) {
#pragma unroll 1
        for (; counted < (first_ + cell) / kWarpSize; ++counted) {
          top_before += cells_.counts.load(counted);
        }
        const bool top = is_top(items, cell);
        const unsigned votes = __ballot_sync(kAllLanes, top);
        const int earlier = top_before + __popc(votes & ((1u << lane_index()) - 1));
        target = top ? earlier : items.top + (cell - earlier);
      }
      if (cell >= items.n) continue;
      CellPlace place = cells_.places.load(first_ + cell);
      const int64_t slot = slots_.begin + place.slot;
      const uint64_t key = cells_.words.load(first_ + cell);
      const int grade =
          first_that(0, cell, [&](int other) { return cells_.words.load(first_ + other) >= key; });
      place.grade = static_cast<uint32_t>(grade);
      double gain = label_of(cell);
      if (needs_gains()) {
        const double label = gain;
        gain = args_.gains == nullptr ? gain_of(args_.gain, label, highest) : args_.gains[slot];
        const int best_rank = items.n - 1 - cell;
        if (by_label && best_rank < items.top) dcg.value += gain * args_.discount(best_rank);
        const int rank = static_cast<int>(place.rank);
        if (rank < items.top) dcg.slope += gain * args_.discount(rank);
        if (args_.scheme == Scheme::kArp) gain = label;
      }
      dcg.pairs += grade;
      cells_.items.store(first_ + target,
                         {load_score<Real>(args_, slot), load_weight<Real>(args_, slot), gain});
      // Other threads still read `places` in the old order.
      cells_.discounts.store(first_ + target, bit_cast<uint32_t>(place));
    }
    // Its barriers come before weigh_items overwrites arrays that other threads still read.
    dcg = sum_of_group(group_, cells_.words, dcg);
  }

  // Stores `places` of the new order, gains divided by the maximal DCG, and the discounts of the
  // weights, by item and by rank.
  __device__ __forceinline__ void weigh_items(int n, double best_dcg) {
#pragma unroll 1
    for (int cell = group_.thread(); cell < n; cell += group_.size()) {
      const auto word = static_cast<uint32_t>(cells_.discounts.load(first_ + cell));
      const auto place = bit_cast<CellPlace>(word);
      cells_.places.store(first_ + cell, place);
      if (!args_.weighs_gains()) continue;
      CellItem<Real> item = cells_.items.load(first_ + cell);
      item.gain = best_dcg > 0 ? item.gain / best_dcg : 0;
      cells_.items.store(first_ + cell, item);
      const int rank = static_cast<int>(place.rank);
      const double discount = args_.weighs_discount(rank) ? args_.discount(rank) : 0;
      cells_.discounts.store(first_ + cell, bit_cast<uint64_t>(discount));
      if (needs_distances()) {
        cells_.words.store(first_ + cell, bit_cast<uint64_t>(args_.discount(cell)));
      }
    }
  }

  // Writes the statistics, except the pairs in the right order.
  __device__ __forceinline__ void write_metrics(const ShortItems& items,
                                                const GroupSums& dcg) const {
    if (args_.statistics == nullptr || group_.thread() != 0) return;
    args_.statistics[3 * slots_.list] = dcg.pairs;
    const bool has_ndcg = items.has_ndcg && dcg.value > 0;
    args_.statistics[3 * slots_.list + 2] = has_ndcg ? dcg.slope / dcg.value : kNan<double>;
  }

  const LambdaArgs& args_;
  const WarpOrBlock& group_;
  LambdaCells<Real>& cells_;
  const ShortSlots& slots_;
  const int first_;
};

}  // namespace fused_rankloss::cuda::lambda
