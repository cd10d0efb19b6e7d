// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernels of a lambda loss over long lists share: the call, and where things are.
#pragma once

#include "cuda/lambda/list_totals.cuh"
#include "cuda/lambda/policy.h"
#include "cuda/lambda/ranked_lists.cuh"
#include "cuda/lists/load_items.cuh"
#include "cuda/lists/partials.cuh"
#include "cuda/lists/score_order.cuh"

namespace fused_rankloss::cuda::lambda {

// What is known of a list apart from its pairs' losses. One that is short has none of it.
struct LambdaListFacts {
  unsigned long long max_label;  // LevelTable::key
  double max_dcg;
  double ndcg;
  double pair_weights;   // of the pairs that are kept
  double factor;         // of gradients, once the sums over pairs are known
  uint32_t is_poisoned;  // by an item or two
  uint32_t has_no_ndcg;
};

template <typename Real>
struct LambdaLongParams {
  using Key = ScoreKey<Real>;

  LambdaArgs args;
  const uint32_t* weight_exponents;  // see PairwiseArgs
  ListPartials partials;
  int64_t longest;  // slots of a list, at most
  // Workspace: zero
  LevelTable* levels;
  LongListTable* table;
  LambdaListFacts* facts;  // [num_lists]
  PairSums* sums;          // [num_lists]
  OrderedPairs* ordered;   // [num_lists]; null: not wanted
  // Workspace: uninitialised. By position, for whole tiles
  Order<Key> orders[2];  // the first one is that by rank
  uint64_t* sort_keys;
  uint32_t* places[2];
  uint32_t* batch_ranks;  // of labels, among all of the call
  uint32_t* label_ranks;  // among those of the list
  Real* scores;
  double* gains;
  double* weights[2];  // of an item as the more relevant one and as the less relevant one
  double* pair_discounts;
  double* gradients;
  // By rank
  double* rank_discounts;  // true ones
  double* deltas;
  // Others
  Segments segments;
  uint32_t* words;  // of LabelRanks
  LongList* lists;
  ListTotals* tiles;        // of the table's tiles
  uint32_t* label_changes;  // in each of them, in the order by label; then in all before it
  double* partial_gradients;
  PairSums* piece_sums;

  FRL_HD bool is_long(int64_t list) const {
    return cuda::is_long(args.lists, list, partials.crossover);
  }

  // The list that has an item at a position of the order by rank, or kNoList. Where offsets are
  // broken, a list may get items at positions that are not its own: they are in no list.
  __device__ __forceinline__ int64_t list_at(int64_t position) const {
    if (orders[0].keys[position] == kInertKey<Key>) return kNoList;
    const int64_t list = list_of(args.lists, orders[0].slots[position]);
    const Range own = list_positions(args.lists, list);
    return own.begin <= position && position < own.end ? list : kNoList;
  }

  FRL_HD bool wants_statistics() const { return args.statistics != nullptr; }
  FRL_HD bool reads_gains() const { return args.weighs_gains() || wants_statistics(); }

  // What a slot sorts by: the highest score comes first.
  __device__ __forceinline__ Key sort_key(int64_t slot, int64_t list) const {
    if (!is_long(list) || real_range(args.lists, list, slot).size() == 0) return kInertKey<Key>;
    const Real score = load_score<Real>(args, slot);
    return ~ordered_key(score == score ? score : kNan<Real>);
  }

  // What the pair phase reads.
  FRL_HD RankedLists<Real> ranked_lists() const {
    const Scheme scheme = args.scheme;
    const bool weighs_distance = scheme == Scheme::kNdcgLoss2 || scheme == Scheme::kNdcgLoss2pp;
    const bool weighs_pairs = args.weighs_gains() && !args.all_pairs();
    RankedLists<Real> ranked{};
    ranked.lists = args.lists;
    ranked.size = args.lists.num_slots;
    ranked.long_lists = table;
    ranked.scores = scores;
    ranked.label_ranks = label_ranks;
    ranked.gains = weighs_pairs || scheme == Scheme::kArp ? gains : nullptr;
    ranked.discounts = weighs_pairs ? pair_discounts : nullptr;
    ranked.more_weights = weights[0];
    ranked.less_weights = weights[1];
    ranked.deltas = weighs_distance ? deltas : nullptr;
    ranked.gradients = args.raw_grad != nullptr ? gradients : nullptr;
    ranked.sums = sums;
    return ranked;
  }
};

}  // namespace fused_rankloss::cuda::lambda
