// SPDX-License-Identifier: BSD-3-Clause
//
// Counting the violating pairs of a medium list by one block: of up to kMediumListItems slots,
// whose pairs are too many to be enumerated, in O(n log n log levels).
//
// Items are sorted by label and score. What has one label, a level, is then one stretch of
// positions, and levels are merged by score in pairs, pairs of pairs, and so on:
//
//   levels   0 | 1 | 2 | 3 | 4        two sides of a merge: any two items of different levels are
//            0 1   | 2 3   | 4        on opposite sides once, and the right side has the higher
//            0 1 2 3       | 4        labels
//            0 1 2 3 4
//
// An item finds its violating partners and its place by binary search in the other side, where
// those of an item are one end (list_sort.cuh).
//
// Sorting      A radix sort of the items' numbers, the least significant digit first, that skips
//              digits which all items share: a few grades take one pass beside the four of fp32
//              scores. Lanes with one digit find each other by a vote.
// Memory       Shared: the score of an item, its level, and its number in two orders, 10 bytes with
//              fp32 scores and 14 with fp64, and 2 bytes a level. Labels are read from a cache. The
//              gradient is added to by one thread a merge, with barriers in between.
// Determinism  Bitwise: sorting is stable and starts from the order of slots without their padding,
//              so that there is one result, and a thread has the same positions whatever the batch
#pragma once

#include "cuda/list_pairs.cuh"
#include "cuda/team_radix_sort.cuh"

namespace fused_rankloss {

template <typename Real>
struct MediumShared {
  using Score = typename SortKey<Real>::Score;
  static constexpr int kItems = kMediumListItems<Real>;
  static constexpr int kThreads = ListTeam::kBlockThreads;

  SharedArray<Score, kItems> scores;         // by item
  SharedArray<uint16_t, 2 * kItems> orders;  // items by position: [2, kItems]
  SharedArray<uint16_t, kItems> levels;      // by item; while sorting [warps, digits], how many
  SharedArray<uint16_t, kItems> starts;      // by level, its first position
  ScanShared<TeamSort::Count, kThreads> scan;
  SharedArray<uint64_t, kListWarps> varying;
};

template <class Term>
class MediumList {
 public:
  using Real = typename Term::Real;
  using Key = typename Term::Key;
  using Shared = MediumShared<Real>;
  using Score = typename Shared::Score;

  // All threads of a block call this and the next.
  __device__ __forceinline__ MediumList(const Term& term, ListTeam& team, Shared& shared,
                                        const PairwiseArgs& args, const ShortList& own)
      : term_(term), team_(team), shared_(shared), args_(args), own_(own) {}

  // All of the list, but for what depends on its sums. Thread 0 gets them.
  __device__ __forceinline__ ListPartial solve() {
    const bool poisoned = load_items();
    sort_items();
    find_levels();
    ListPartial partial;
#pragma unroll 1
    for (int span = 1; span < num_levels_; span *= 2) merge_levels(span, partial);
    if (poisoned) partial.pairs = kNan<double>;
    return team_.sum(partial);
  }

 private:
  static constexpr int kItems = Shared::kItems;
  static constexpr int kThreads = Shared::kThreads;
  static constexpr int kDigitBits = 8;
  static constexpr int kDigits = 1 << kDigitBits;
  static_assert(kDigits == kThreads, "a thread has one digit");
  static_assert(kListWarps * kDigits <= kItems, "what warps count lies where levels come later");

  static __device__ __forceinline__ int thread() { return static_cast<int>(threadIdx.x); }

  __device__ __forceinline__ int item_at(int position) const {
    return shared_.orders.load(order_ + position);
  }
  __device__ __forceinline__ Real score_at(int position) const {
    return value_of_key(shared_.scores.load(item_at(position)));
  }

  // The label of an item, as an unsigned number that sorts as labels do.
  __device__ __forceinline__ uint64_t label_of(int item) const {
    Key label[1];
    load_labels(args_, [&](int) { return own_.begin + item; }, label);
    return static_cast<uint64_t>(static_cast<int64_t>(label[0])) ^ uint64_t { 1 } << 63;
  }

  // Zeroes gradients, and gives every slot that is an item a number: its own. Returns whether the
  // list is poisoned.
  __device__ __forceinline__ bool load_items() {
    bool poisoned = false;
    int items = 0;
#pragma unroll 1
    for (int slot = thread(); slot < own_.size; slot += kThreads) {
      const bool real = args_.lists.is_real(own_.begin + slot);
      if (args_.raw_grad != nullptr) term_.store_gradient(own_.first_grad + slot, {});
      shared_.orders.store(slot, static_cast<uint16_t>(slot));
      if (!real) continue;
      const typename Term::Item item = term_.load(own_.begin + slot);
      poisoned |= term_.holds_nan(item);
      shared_.scores.store(slot, sort_score(item.score));
      ++items;
    }
    if (args_.lists.lengths && args_.raw_grad != nullptr) {
#pragma unroll 1
      for (int64_t slot = own_.size + thread(); slot < args_.lists.width; slot += kThreads) {
        term_.store_gradient(own_.first_grad + slot, {});
      }
    }
    const bool any_poisoned = team_.any(poisoned);
    if (args_.lists.mask != nullptr) {
      sort_pass(own_.size,
                [&](int slot) { return args_.lists.is_real(own_.begin + slot) ? 0 : 1; });
#pragma unroll
      for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
        items += __shfl_xor_sync(kAllLanes, items, distance);
      }
      size_ = team_.select(items, 0).total;
    } else {
      size_ = own_.size;
    }
    return any_poisoned;
  }

  // By label, and by score within.
  __device__ __forceinline__ void sort_items() {
    sort_by(sizeof(Score) * 8, [&](int item) { return uint64_t{shared_.scores.load(item)}; });
    sort_by(64, [&](int item) { return label_of(item); });
  }

  template <typename KeyOf>
  __device__ __forceinline__ void sort_by(int bits, KeyOf&& key_of) {
    uint64_t varying = 0;
    const uint64_t first = size_ > 0 ? key_of(item_at(0)) : 0;
#pragma unroll 1
    for (int position = thread(); position < size_; position += kThreads) {
      varying |= key_of(item_at(position)) ^ first;
    }
#pragma unroll
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
      varying |= __shfl_xor_sync(kAllLanes, varying, distance);
    }
    if (lane_index() == 0) shared_.varying.store(warp_index(), varying);
    __syncthreads();
#pragma unroll 1
    for (int warp = 0; warp < kListWarps; ++warp) varying |= shared_.varying.load(warp);
#pragma unroll 1
    for (int shift = 0; shift < bits; shift += kDigitBits) {
      if ((varying >> shift & (kDigits - 1)) == 0) continue;
      sort_pass(size_,
                [&](int item) { return static_cast<int>(key_of(item) >> shift & (kDigits - 1)); });
    }
    __syncthreads();  // before `varying` is written again
  }

  // Sorts the positions [0, size) by a digit, stably: into the other order, which becomes the
  // order.
  template <typename DigitOf>
  __device__ __forceinline__ void sort_pass(int size, DigitOf&& digit_of) {
    // A warp has consecutive positions, and a row of counts.
    const int share = (size + kThreads - 1) / kThreads * kWarpSize;
    const int begin = warp_index() * share;
    const int end = begin + share < size ? begin + share : size;
    const int row = warp_index() * kDigits;
    const auto for_positions = [&](auto&& body) {
#pragma unroll 1
      for (int step = begin; step < end; step += kWarpSize) {
        const int position = step + lane_index();
        const bool there = position < end;
        const int item = there ? item_at(position) : 0;
        const int digit = there ? digit_of(item) : kDigits;
        const unsigned peers = __match_any_sync(kAllLanes, digit);
        const unsigned earlier = peers & ((1u << lane_index()) - 1);
        const int first = there ? shared_.levels.load(row + digit) : 0;
        body(there, item, first + __popc(earlier));
        __syncwarp();
        if (there && earlier == 0) {
          shared_.levels.store(row + digit, static_cast<uint16_t>(first + __popc(peers)));
        }
        __syncwarp();
      }
    };
    __syncthreads();  // the order is there
    for (int digit = lane_index(); digit < kDigits; digit += kWarpSize) {
      shared_.levels.store(row + digit, 0);
    }
    __syncwarp();
    for_positions([](bool, int, int) {});
    __syncthreads();
    uint32_t total = 0;
#pragma unroll 1
    for (int warp = 0; warp < kListWarps; ++warp) {
      total += shared_.levels.load(warp * kDigits + thread());
    }
    uint32_t place =
        scan_block<Sweep::kUp, kThreads>(shared_.scan, TeamSort::Count{total}).before.count;
#pragma unroll 1
    for (int warp = 0; warp < kListWarps; ++warp) {
      const int cell = warp * kDigits + thread();
      const uint32_t count = shared_.levels.load(cell);
      shared_.levels.store(cell, static_cast<uint16_t>(place));
      place += count;
    }
    __syncthreads();
    for_positions([&](bool there, int item, int to) {
      if (there) shared_.orders.store(kItems - order_ + to, static_cast<uint16_t>(item));
    });
    __syncthreads();
    order_ = kItems - order_;
  }

  // Numbers the labels.
  __device__ __forceinline__ void find_levels() {
    num_levels_ = 0;
#pragma unroll 1
    for (int step = 0; step < size_; step += kThreads) {
      const int position = step + thread();
      const bool there = position < size_;
      const int item = there ? item_at(position) : 0;
      const bool is_first =
          there && (position == 0 || label_of(item) != label_of(item_at(position - 1)));
      const unsigned votes = __ballot_sync(kAllLanes, is_first);
      const Selection<int> heads = team_.select(__popc(votes), 0);
      const unsigned upto = (2u << lane_index()) - 1;
      const int level = num_levels_ + heads.before + __popc(votes & upto) - 1;
      if (there) shared_.levels.store(item, static_cast<uint16_t>(level));
      if (is_first) shared_.starts.store(level, static_cast<uint16_t>(position));
      num_levels_ += heads.total;
    }
    __syncthreads();
  }

  __device__ __forceinline__ int start_of(int level) const {
    return level < num_levels_ ? shared_.starts.load(level) : size_;
  }

  // Merges each `span` levels, in the order of their scores, with the next ones.
  __device__ __forceinline__ void merge_levels(int span, ListPartial& partial) {
    const bool is_last = 2 * span >= num_levels_;
#pragma unroll 1
    for (int position = thread(); position < size_; position += kThreads) {
      const int item = item_at(position);
      const Score key = shared_.scores.load(item);
      const int level = shared_.levels.load(item);
      const int left = level & -(2 * span);
      const int begin = start_of(left);
      const int middle = start_of(left + span);
      const int end = start_of(left + 2 * span);
      const bool has_higher = (level & span) == 0;  // on the other side
      const int other = has_higher ? middle : begin;
      const int other_end = has_higher ? end : middle;

      const typename Term::Item row = term_.item(value_of_key(key), Real(1), Key(0));
      typename Term::Totals totals;
      if (has_higher) {
        totals.less =
            first_that(other, other_end, [&](int at) { return score_at(at) > row.reach; }) - other;
      } else {
        totals.lower = other_end - other;
        totals.more = other_end - first_that(other, other_end, [&](int at) {
                        return term_.item(score_at(at), Real(1), Key(0)).reach >= row.score;
                      });
      }
      if (!is_finite(row.score) && other < other_end) {
        // The difference of two equal infinities has no value. They lie at one end.
        totals.poisoned = row.score == score_at(row.score > 0 ? other_end - 1 : other);
      }
      partial.add(term_.finish(row, totals));
      if (args_.raw_grad != nullptr) term_.add_gradient(own_.first_grad + item, totals);
      if (is_last) continue;
      // Of equal scores, those on the left come first.
      const int before = first_that(other, other_end, [&](int at) {
        const Score other_key = shared_.scores.load(item_at(at));
        return has_higher ? other_key >= key : other_key > key;
      });
      // Those before it on its own side, and on the other: for either side the same sum.
      const int to = position + before - middle;
      shared_.orders.store(kItems - order_ + to, static_cast<uint16_t>(item));
    }
    __syncthreads();
    if (!is_last) order_ = kItems - order_;
  }

  const Term& term_;
  ListTeam& team_;
  Shared& shared_;
  const PairwiseArgs& args_;
  const ShortList& own_;
  int size_ = 0;  // items
  int num_levels_ = 0;
  int order_ = 0;  // where the order begins: 0 or kItems
};

}  // namespace fused_rankloss
