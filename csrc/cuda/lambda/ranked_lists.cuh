// SPDX-License-Identifier: BSD-3-Clause
//
// The items of long lists, sorted by rank: output of long_rank.cuh, input of the pair kernels.
//
// The item of rank r, from 0, of list b is at position lists.slots(b).begin + r: scores descend
// within a list. Padding and other slots without pairs come after the items.
#pragma once

#include "args/lambda.h"
#include "cuda/lists/label_ranks.cuh"
#include "cuda/lists/long_table.cuh"

namespace fused_rankloss::cuda::lambda {

// A long list.
struct LongList {
  int64_t list;
  int64_t begin;  // position of rank 0
  int64_t size;   // items; 0 for a poisoned list, which is in no pair
  int64_t top;    // number of top ranks: a kept pair has one item there, or both for kBoth

  // Totals of the lists before it: tiles of kScanTile items; chunks and partial gradients of
  // long_pairs.cuh.
  int64_t first_tile;
  int64_t first_chunk;
  int64_t first_partial;
};

// All long lists, in ascending order.
struct LongListTable {
  LongList* lists;
  int64_t size;
  int64_t num_tiles;
  int64_t num_chunks;
  uint32_t most_grades;  // maximal number of grades of a list
};

// Counts of the pairs of a list with different labels, at any ranks.
struct OrderedPairs {
  unsigned long long pairs;
  unsigned long long twice_ordered;  // twice the pairs in the right order; ties count half
};

// Sums over the pairs of a list.
struct PairSums {
  double value = 0;
  double slope = 0;  // -d value / d D, divided by LambdaArgs::slope_scale

  FRL_HD void add(const PairSums& other) {
    value += other.value;
    slope += other.slope;
  }
};

// The list of a tile or chunk that is in the table.
template <int64_t LongList::* kFirst>
FRL_HD const LongList& list_with(const LongListTable& table, int64_t index) {
  return record_with<kFirst>(table.lists, table.size, index);
}

// Arrays are indexed by position unless noted.
template <typename Real>
struct RankedLists {
  Lists lists;
  int64_t size;  // positions
  const LongListTable* long_lists;

  const Real* scores;
  const uint32_t* label_ranks;  // among the list's grades; kInertRank for items in no pair
  const double* gains;          // divided by the maximal DCG, or the label for arp; null: unused
  const double* discounts;      // as in |d_i - d_j|; null: unused
  const double* more_weights;   // of an item as the more relevant one (times g d for ndcg_loss1)
  const double* less_weights;
  const double* deltas;  // by difference of ranks (RankDistanceWeight); null: unused

  // Results, without the factor LambdaArgs::scale.
  double* gradients;  // d list_sum / d score / slope_scale; initially 0; null: not requested
  PairSums* sums;     // [num_lists], initially 0
};

}  // namespace fused_rankloss::cuda::lambda
