// SPDX-License-Identifier: BSD-3-Clause
//
// Pair losses over ragged lists: all pairs enumerated in tiles, none ever stored.
//
//   list_sum = sum_{i, j of one list, y_i > y_j} w_ij phi(m - (s_i - s_j))                   (1)
//
//   d list_sum / d s_t = sum_{i: y_i > y_t} w_it phi'(m - (s_i - s_t))
//                      - sum_{j: y_j < y_t} w_tj phi'(m - (s_t - s_j))                       (2)
//
// Mapping      A block owns consecutive slots of the flat slot array, whatever the input form: its
//              rows. Tiles of columns, the slots of the rows' lists, pass through shared memory.
//              Each warp holds all rows in registers, `rows_per_thread` a lane, 32 slots apart, and
//              meets every `warps`-th column. Where the rows are of several lists, it takes them
//              one by one, each with the columns of its own list. K margins are K times as many
//              blocks, in grid.x. Rows of long lists are left to long.cuh, and where there
//              may be any, so is the last step.
// Memory       A block reads its rows' lists once, and writes each gradient once. The workspace is
//              32 bytes for every 32 slots and every list, times K.
// Numerics     Which pairs violate the margin is decided exactly (common/ordered.h). Counts are
//              integers; everything else is in fp64, see terms.cuh.
// Determinism  Bitwise: a row meets all of its columns, so that no gradient is added to twice and
//              none needs atomics, and every sum has a fixed order. The one atomic counts finished
//              blocks; whichever is last adds up the same numbers in the same order.
#pragma once

#include <algorithm>

#include "common/workspace.h"
#include "cuda/lists/lists.cuh"
#include "cuda/lists/partials.cuh"
#include "cuda/lists/reduce.cuh"
#include "cuda/pairwise/policy.h"
#include "cuda/pairwise/terms.cuh"
#include "cuda/primitives/last_block.cuh"
#include "cuda/primitives/shared_array.cuh"
#include "losses/pair_losses.h"

namespace fused_rankloss::cuda::pairwise {

// ---- Parameters ------------------------------------------------------------

struct PairwiseParams {
  PairwiseArgs args;
  ListPartials partials;      // workspace, uninitialised
  uint32_t* finished_blocks;  // workspace, 0
  uint32_t num_row_blocks;  // the grid: K times as many; 1 for an empty batch, which has a loss too
};

// ---- Tiles -----------------------------------------------------------------

template <class Term>
struct PairwiseShared {
  static constexpr PairwiseTile kTile = Term::kTile;
  static constexpr int kRows = kTile.rows();
  static constexpr int kColumns =
      kTile.column_bytes / static_cast<int>(sizeof(typename Term::Item));

  SharedArray<typename Term::Item, kRows> rows;
  SharedArray<int64_t, kRows> row_lists;               // ascending, then kNoList
  SharedArray<Range, kRows> row_ranges;                // slots of the list; none for padding
  SharedArray<typename Term::Item, kColumns> columns;  // one tile
  SharedArray<typename Term::Sums, kTile.warps * kRows> sums;  // [warps, kRows]
};

// Lets kRows rows of a lane, 32 apart, meet the warp's columns among [begin, end) of the tile.
template <int kRows, class Term>
__device__ __forceinline__ void add_columns(const Term& term, PairwiseShared<Term>& shared,
                                            int first_row, int begin, int end) {
  using Item = typename Term::Item;
  constexpr int kWarps = Term::kTile.warps;
  Item rows[kRows];
  typename Term::TileSums sums[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) rows[r] = shared.rows.load(first_row + r * kWarpSize);

  const int first = begin + (warp_index() + kWarps - begin % kWarps) % kWarps;
  for (int index = first; index < end; index += kWarps) {
    const Item column = shared.columns.load(index);
#pragma unroll
    for (int r = 0; r < kRows; ++r) term.add_pair(rows[r], column, sums[r]);
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    // The difference of two equal infinities has no value. Infinite scores are rare enough to look
    // at the columns once more for them instead of burdening every pair.
    const bool infinite = rows[r].score == rows[r].score && !is_finite(rows[r].score);
#pragma unroll 1
    for (int index = infinite ? first : end; index < end; index += kWarps) {
      const Item column = shared.columns.load(index);
      if (column.score == rows[r].score && column.label != rows[r].label) sums[r].poison();
    }
    const int cell = warp_index() * PairwiseShared<Term>::kRows + first_row + r * kWarpSize;
    typename Term::Sums total = shared.sums.load(cell);
    total.add_tile(rows[r], sums[r]);
    shared.sums.store(cell, total);
  }
}

// ---- Kernel ----------------------------------------------------------------

template <class Term>
__global__ void __launch_bounds__(Term::kTile.threads(), kPairwiseBlocks)
    pairwise_kernel(const __grid_constant__ PairwiseParams params) {
  using Item = typename Term::Item;
  using Key = typename Term::Key;
  using Sums = typename Term::Sums;
  constexpr PairwiseTile kTile = Term::kTile;
  constexpr int kThreads = kTile.threads();
  constexpr int kRows = kTile.rows();
  constexpr int kColumns = PairwiseShared<Term>::kColumns;
  static_assert(kRows <= kThreads, "a thread loads and finishes one row");

  __shared__ PairwiseShared<Term> shared;

  const PairwiseArgs& args = params.args;
  const Lists& lists = args.lists;
  const int64_t k = blockIdx.x / params.num_row_blocks;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x % params.num_row_blocks) * kRows;
  const Term term(args, args.margin_of(k));
  const int thread = static_cast<int>(threadIdx.x);

  bool real = false;  // the thread's own row
  Sums first_sums;
  if (thread < kRows) {
    const int64_t slot = first_row + thread;
    const int64_t list = slot < lists.num_slots ? list_of(lists, slot) : kNoList;
    const bool is_own = !is_long(lists, list, params.partials.crossover);
    const Range range = is_own ? real_range(lists, list, slot) : Range{0, 0};
    real = range.size() > 0;
    const Item row = real ? term.load(slot) : Term::inert(kLowestKey<Key>);
    if (real && term.holds_nan(row)) first_sums.poison();
    shared.row_lists.store(thread, list);
    shared.row_ranges.store(thread, range);
    shared.rows.store(thread, row);
  }
  shared.sums.store(thread, first_sums);
  for (int cell = thread + kThreads; cell < kTile.warps * kRows; cell += kThreads) {
    shared.sums.store(cell, Sums{});
  }
  const bool any_real = __syncthreads_or(real) != 0;

  // The columns: from the first row's list to the last row's, without those if they are long. None
  // where all rows are padding or of long lists.
  const int num_rows = static_cast<int>(Lists::clamp(lists.num_slots - first_row, 0, kRows));
  Range columns{0, 0};
  bool one_list = false;
  if (any_real) {
    const int64_t first_list = shared.row_lists.load(0);
    const int64_t last_list = shared.row_lists.load(num_rows - 1);
    one_list = first_list == last_list;
    const Range first = first_list == kNoList ? Range{0, 0} : lists.slots(first_list);
    const Range last = last_list == kNoList ? Range{0, lists.num_slots} : lists.slots(last_list);
    columns.begin = is_long(lists, first_list, params.partials.crossover) ? first.end : first.begin;
    columns.end = is_long(lists, last_list, params.partials.crossover) ? last.begin : last.end;
  }

  for (int64_t tile = columns.begin; tile < columns.end; tile += kColumns) {
    const int count = static_cast<int>(Lists::clamp(columns.end - tile, 0, kColumns));
    for (int index = thread; index < count; index += kThreads) {
      const int64_t slot = tile + index;
      shared.columns.store(index,
                           lists.is_real(slot) ? term.load(slot) : Term::inert(kHighestKey<Key>));
    }
    __syncthreads();
    if (one_list) {
      add_columns<kTile.rows_per_thread>(term, shared, lane_index(), 0, count);
    } else {
#pragma unroll 1
      for (int row = lane_index(); row < kRows; row += kWarpSize) {
        const Range range = shared.row_ranges.load(row);
        add_columns<1>(term, shared, row,
                       static_cast<int>(Lists::clamp(range.begin - tile, 0, count)),
                       static_cast<int>(Lists::clamp(range.end - tile, 0, count)));
      }
    }
    __syncthreads();  // before the next tile overwrites this one, and the sums are read
  }

  if (thread < kRows) {  // whole warps: store_chunk shuffles
    const int64_t slot = first_row + thread;
    typename Term::Totals totals;
    for (int warp = 0; real && warp < kTile.warps; ++warp) {
      totals.add(shared.sums.load(warp * kRows + thread));
    }
    const int64_t list = shared.row_lists.load(thread);
    const bool is_own = !is_long(lists, list, params.partials.crossover);
    if (args.raw_grad != nullptr && slot < lists.num_slots && is_own) {
      term.store_gradient(k * lists.num_slots + slot, totals, real ? args.unit(list) : 1);
    }
    store_chunk(params.partials, k, slot / kWarpSize, is_own ? list : kNoList,
                real ? term.finish(shared.rows.load(thread), totals) : ListPartial{});
  }
  if (params.partials.crossover != kNoLongLists) return;

  if (!is_last_block(params.finished_blocks)) return;
  reduce_lists<typename Term::Real, kThreads>(args, params.partials);
}

// ---- Launch ----------------------------------------------------------------

// The tile kernel for the lists of up to `crossover` slots. It finishes the call if that is
// kNoLongLists; or else returns what the kernels of the longer lists go on with.
template <class Queue>
ListPartials run_tiles(Queue& queue, const PairwiseArgs& args, std::string_view loss_name,
                       int64_t crossover) {
  PairwiseParams params = queue.workspace([&](Workspace& workspace) {
    const ListPartials partials = list_partials(workspace, args.lists, args.num_margins, crossover,
                                                /*whole_lists=*/false);
    return PairwiseParams{args, partials, workspace.take<uint32_t>(1), 0};
  });
  queue.zero(params.finished_blocks, 1);
  dispatch_term(args, loss_name, [&]<class Term>() {
    constexpr int64_t kRows = Term::kTile.rows();
    const int64_t row_blocks = std::max<int64_t>(1, (args.lists.num_slots + kRows - 1) / kRows);
    params.num_row_blocks = static_cast<uint32_t>(row_blocks);
    queue.launch(row_blocks * args.num_margins, Term::kTile.threads(), pairwise_kernel<Term>,
                 params);
  });
  return params.partials;
}

}  // namespace fused_rankloss::cuda::pairwise
