// SPDX-License-Identifier: BSD-3-Clause
//
// Parameters of all kernels of a lambda loss over long lists: the call and the workspace.
#pragma once

#include "cuda/lambda/list_totals.cuh"
#include "cuda/lambda/policy.h"
#include "cuda/lambda/ranked_lists.cuh"
#include "cuda/lists/load_items.cuh"
#include "cuda/lists/partials.cuh"
#include "cuda/lists/score_order.cuh"

namespace fused_rankloss::cuda::lambda {

// Attributes of a long list, apart from the sums over its pairs. Unused for short lists.
struct LambdaListFacts {
  unsigned long long max_label;  // GradeTable::key
  double max_dcg;
  double ndcg;
  double pair_weights;   // sum over the pairs that truncation keeps
  double factor;         // of gradients, set after the sums over pairs
  uint32_t is_poisoned;  // by an item, or by a pair of equal infinite scores
  uint32_t has_no_ndcg;
};

template <typename Real>
struct LambdaLongParams {
  using Key = ScoreKey<Real>;

  LambdaArgs args;
  const uint32_t* weight_exponents;  // see PairwiseArgs
  ListPartials partials;
  int64_t longest;  // upper bound on the slots of a list
  // Workspace: zero-initialised
  GradeTable* grades;
  LongListTable* table;
  LambdaListFacts* facts;  // [num_lists]
  PairSums* sums;          // [num_lists]
  OrderedPairs* ordered;   // [num_lists]; null: not requested
  // Workspace: uninitialised. By position, sized for whole tiles
  Order<Key> orders[2];  // the first one is the order by rank
  uint64_t* sort_keys;
  uint32_t* places[2];
  uint32_t* batch_ranks;  // of labels, among the distinct labels of the call
  uint32_t* label_ranks;  // among those of the list
  Real* scores;
  double* gains;
  double* weights[2];  // of an item as the more and as the less relevant one
  double* pair_discounts;
  double* gradients;
  // By rank
  double* rank_discounts;  // for DCG; pair_discounts are those of the pair weights
  double* deltas;
  // Others
  Segments segments;
  uint32_t* words;  // of LabelRanks
  LongList* lists;
  ListTotals* tiles;        // of the table's tiles
  uint32_t* label_changes;  // per tile, in the order by label; after the scan, before each tile
  double* partial_gradients;
  PairSums* chunk_sums;

  FRL_HD bool is_long(int64_t list) const {
    return cuda::is_long(args.lists, list, partials.crossover);
  }

  // The list of the item at a position of the order by rank, or kNoList. With broken offsets, a
  // list may get items at positions outside its own; these belong to no list.
  __device__ __forceinline__ int64_t list_at(int64_t position) const {
    if (orders[0].keys[position] == kInertKey<Key>) return kNoList;
    const int64_t list = list_of(args.lists, orders[0].slots[position]);
    const Range own = list_positions(args.lists, list);
    return own.begin <= position && position < own.end ? list : kNoList;
  }

  FRL_HD bool wants_statistics() const { return args.statistics != nullptr; }
  FRL_HD bool reads_gains() const { return args.weighs_gains() || wants_statistics(); }

  // The sort key of a slot: descending by score.
  __device__ __forceinline__ Key sort_key(int64_t slot, int64_t list) const {
    if (!is_long(list) || real_range(args.lists, list, slot).size() == 0) return kInertKey<Key>;
    const Real score = load_score<Real>(args, slot);
    return ~ordered_key(score == score ? score : kNan<Real>);
  }

  // The input of the pair kernels.
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
