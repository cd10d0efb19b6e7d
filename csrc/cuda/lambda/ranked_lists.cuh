// SPDX-License-Identifier: BSD-3-Clause
//
// The items of long lists in the order of their ranks, ready to meet in pairs: what stands between
// everything that happens to single items (long_rank.cuh) and the pairs themselves.
//
// The item of rank r, from 0, of list b lies at position lists.slots(b).begin + r: scores descend
// within a list. Padding and whatever else takes part in nothing lies behind the items.
#pragma once

#include "args/lambda.h"
#include "cuda/lists/label_ranks.cuh"
#include "cuda/lists/long_table.cuh"

namespace fused_rankloss::cuda::lambda {

// A list that is long, wherever its slots are.
struct LongList {
  int64_t list;
  int64_t begin;  // position of rank 0
  int64_t size;   // items; 0 for a poisoned list, which is in no pair
  int64_t top;    // ranks below which at least one of a pair lies, both for kBoth

  // Of the lists before it: tiles of kScanTile items, and for long_pairs.cuh pieces of work
  // and partial gradients.
  int64_t first_tile;
  int64_t first_piece;
  int64_t first_partial;
};

// All of them, in ascending order.
struct LongListTable {
  LongList* lists;
  int64_t size;
  int64_t num_tiles;
  int64_t num_pieces;
  uint32_t most_levels;  // of labels that a list has
};

// Of the pairs of a list whose labels differ, whatever their ranks.
struct OrderedPairs {
  unsigned long long pairs;
  unsigned long long twice_ordered;  // those in the right order, ties counting half
};

// Sums over the pairs of a list.
struct PairSums {
  double value = 0;
  double slope = 0;  // of -d value / d D, over LambdaArgs::slope_scale

  FRL_HD void add(const PairSums& other) {
    value += other.value;
    slope += other.slope;
  }
};

// The list that has a tile or a piece, of a table that has it.
template <int64_t LongList::* kFirst>
FRL_HD const LongList& list_with(const LongListTable& table, int64_t index) {
  return record_with<kFirst>(table.lists, table.size, index);
}

// Arrays are by position where nothing else is said.
template <typename Real>
struct RankedLists {
  Lists lists;
  int64_t size;  // positions
  const LongListTable* long_lists;

  const Real* scores;
  const uint32_t* label_ranks;  // among the list's levels; kInertRank for what is in no pair
  const double* gains;          // over the maximal DCG, the label for arp; null: weights have none
  const double* discounts;      // as they enter |d_i - d_j|; null: weights have none
  const double* more_weights;   // of an item as the more relevant one (with g d for ndcg_loss1)
  const double* less_weights;
  const double* deltas;  // by distance of ranks (RankDistanceWeight); null: weights have none

  // Results. Neither has the factor LambdaArgs::scale.
  double* gradients;  // d list_sum / d score over slope_scale; 0 at first; null: not wanted
  PairSums* sums;     // [num_lists], 0 at first
};

}  // namespace fused_rankloss::cuda::lambda
