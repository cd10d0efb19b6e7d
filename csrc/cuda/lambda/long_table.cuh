// SPDX-License-Identifier: BSD-3-Clause
//
// The table of a call's long lists. Each is cut into tiles of kScanTile items, and into chunks, the
// work items of long_pairs.cuh.
#pragma once

#include "cuda/lambda/long_params.cuh"
#include "cuda/lists/reduce.cuh"

namespace fused_rankloss::cuda::lambda {

// ---- Chunks ----------------------------------------------------------------

// The pairs of a list as rows times columns: each chunk has kPairRows rows and a segment of the
// columns. Rows of the top (the first k ranks) have all columns, or for kBoth those of the top; the
// other rows have the columns of the top. If a row has several segments, each stores a partial
// gradient.
struct PairChunks {
  int64_t size;
  int64_t top;
  int64_t columns;     // number of columns of the top rows
  int64_t top_tiles;   // tiles of kPairRows top rows
  int64_t segments;    // segments of their columns
  int64_t rest_tiles;  // tiles of other rows

  FRL_HD PairChunks(const LongList& list, bool both) : size(list.size), top(list.top) {
    columns = both ? top : size;
    top_tiles = (top + kPairRows - 1) / kPairRows;
    segments = top_tiles == 0 ? 1
                              : Lists::clamp(kPairChunks / top_tiles, 1,
                                             (columns + kPairSegment - 1) / kPairSegment);
    rest_tiles = both ? 0 : (size - top + kPairRows - 1) / kPairRows;
  }

  FRL_HD int64_t num_chunks() const { return top_tiles * segments + rest_tiles; }
  FRL_HD int64_t num_partials() const { return segments > 1 ? top * segments : 0; }

  struct Chunk {
    Range rows;
    Range columns;
    int64_t segment;
  };

  FRL_HD Chunk at(int64_t index) const {
    const int64_t rest = index - top_tiles * segments;
    if (rest >= 0) {
      const int64_t begin = top + rest * kPairRows;
      return {{begin, Lists::clamp(begin + kPairRows, 0, size)}, {0, top}, 0};
    }
    const int64_t begin = index / segments * kPairRows, segment = index % segments;
    const int64_t width = (columns + segments - 1) / segments;
    return {{begin, Lists::clamp(begin + kPairRows, 0, top)},
            {Lists::clamp(segment * width, 0, columns),
             Lists::clamp((segment + 1) * width, 0, columns)},
            segment};
  }

  // Upper bounds over all long lists of a call.
  static int64_t most_chunks(int64_t num_slots, int64_t most_lists) {
    return num_slots / kPairRows + 2 * most_lists + num_slots / kPairSegment * kPairChunks;
  }
  static int64_t most_partials(int64_t num_slots) {
    return num_slots / kPairSegment * kPairChunks * kPairRows;
  }
};

// ---- Table -----------------------------------------------------------------

FRL_HD int64_t num_list_tiles(const LongList& list) { return num_scan_tiles(list.size); }

// The record of a list. Its items precede its padding, so their number is found by a search.
template <typename Real>
__device__ __forceinline__ LongList long_list(const LambdaLongParams<Real>& params, int64_t list) {
  using Key = ScoreKey<Real>;
  const Range positions = list_positions(params.args.lists, list);
  LongList own{};
  own.list = list;
  own.begin = positions.begin;
  if (params.facts[list].is_poisoned == 0) {
    const Key* keys = params.orders[0].keys;
    const Span span{static_cast<Position>(positions.begin), static_cast<Position>(positions.end)};
    own.size = first_position(span, [keys](Position at) { return keys[at] == kInertKey<Key>; }) -
               positions.begin;
  }
  own.top = params.args.top(own.size);
  return own;
}

// If the offsets do not partition the slots into lists, every list is poisoned, and the table is
// empty.
template <typename Real>
__device__ __forceinline__ void poison_long_lists(const LambdaLongParams<Real>& params) {
  const LambdaArgs& args = params.args;
#pragma unroll 1
  for (int64_t list = threadIdx.x; list < args.lists.num_lists; list += kScanThreads) {
    if (args.statistics == nullptr || !params.is_long(list)) continue;
    args.statistics[3 * list] = 0;
    args.statistics[3 * list + 1] = args.statistics[3 * list + 2] = kNan<double>;
  }
}

// One block calls this after the poisoned lists are known.
template <typename Real>
__device__ __forceinline__ void make_long_table(const LambdaLongParams<Real>& params,
                                                LongTableShared& shared) {
  // Lists that overlap would have more tiles and chunks than the workspace has.
  if (offsets_are_broken(params.args.lists)) return poison_long_lists(params);
  const LongListCounts all = number_long_lists<LongList>(
      shared, params.args.lists, params.partials.crossover,
      [&](int64_t list, LongList& own) -> LongListCounts {
        own = long_list(params, list);
        const PairChunks chunks(own, params.args.both());
        return {1, num_list_tiles(own), chunks.num_chunks(), chunks.num_partials()};
      },
      [&](LongList& own, const LongListCounts& earlier) {
        own.first_tile = earlier.tiles;
        own.first_chunk = earlier.chunks;
        own.first_partial = earlier.partials;
        params.lists[earlier.lists] = own;
      });
  if (threadIdx.x == 0) *params.table = {params.lists, all.lists, all.tiles, all.chunks, 0};
}

}  // namespace fused_rankloss::cuda::lambda
