// SPDX-License-Identifier: BSD-3-Clause
//
// The semi-hard negative of every positive: the nearest of those that are farther away than it.
//
// One sweep over the tiles, as in hard_search.h, with a window for each positive of an anchor:
// above the positive's own key, up to the smallest upper end seen above it. What may lie inside
// is kept (candidates.h) and evaluated canonically in the end; only values that are certain
// to be above the positive lower the window. Where the window stays empty, the negative is the
// farthest of all, and the anchor is solved directly, as it is where a NaN is about.
//
// Memory: O(N P) candidates for P positives an anchor.
#pragma once

#include "cpu/simd/tile_sizes.h"
#include "cpu/triplet/candidates.h"
#include "cpu/triplet/hard_search.h"
#include "cpu/triplet/panels.h"
#include "cpu/triplet/positives.h"
#include "cpu/triplet/tournament.h"

namespace fused_rankloss::cpu::triplet {

template <typename Real>
class SemiHardSearch {
 public:
  SemiHardSearch(const Problem<Real>& problem, const Frame& frame, const PanelPair<float>& panels)
      : problem_(problem),
        panels_(panels),
        kernels_(triplet_kernels()),
        positives_(problem),
        found_(positives_.num_slots(), panels.exact()),
        low_(positives_.num_slots(), std::numeric_limits<float>::infinity()),
        high_(positives_.num_slots(), std::numeric_limits<float>::infinity()) {
    const bool exact = panels.exact();
    const ErrorBound bound = ErrorBound::of<float>(problem.batch.dim, exact);
    sides_.push_back(SearchSide::negatives(panels.anchors, bound));
    if (!problem.batch.self) sides_.push_back(SearchSide::negatives(panels.refs(), bound));
    // A key in the units of the tiles lies between the two.
    const double unit = frame.unit * frame.unit / 2, rounding = exact ? 0 : 0x1p-22;
    for (int64_t a = 0; a < problem.batch.num_anchors; ++a) {
      for (int64_t k = 0; k < positives_.count(a); ++k) {
        const double key = positives_(a, k).key * unit;
        low_[positives_.slot(a, k)] = static_cast<float>(key * (1 - rounding));
        high_[positives_.slot(a, k)] = static_cast<float>(key * (1 + rounding));
      }
    }
  }

  void run() {
    const int64_t blocks = panels_.anchors.num_blocks;
    workspace_.resize(problem_.team.size() * kTileSize * kTileSize);
    if (problem_.batch.self) {
      run_tournament(problem_.team, blocks,
                     [&](int64_t i, int64_t j, int worker) { search_tile(i, j, worker); });
    } else {
      problem_.team.run(blocks, [&](int64_t i, int worker) {
        for (int64_t j = 0; j < panels_.refs().num_blocks; ++j) search_tile(i, j, worker);
      });
    }
  }

  // The terms of an anchor with a triplet: calls body(count, positives, negatives).
  template <typename Body>
  void solve(int64_t a, RowSolver& solver, std::vector<double>& keys, const Body& body) const {
    const int64_t count = positives_.count(a);
    std::vector<Pick> negatives(count);
    bool direct = panels_.anchors.odd[a];
    for (int64_t k = 0; k < count && !direct; ++k) {
      negatives[k] = pick(a, k);
      direct = negatives[k].position < 0;
    }
    if (!direct) return body(count, positives_.of(a), negatives.data());
    const RowLayout row = problem_.layout(a);
    keys.resize(row.num_refs);
    problem_.keys(a, keys.data());
    solver.sort_positives(row, keys.data());
    body(count, positives_.of(a), solver.semi_hard_picks(row, keys.data()).data());
  }

 private:
  void search_tile(int64_t i, int64_t j, int worker) {
    const TileKind kind = problem_.tile_kind(i, j);
    if (kind == TileKind::kPositive) return;
    float* tile = workspace_.data() + worker * kTileSize * kTileSize;
    const SearchSide &rows = sides_.front(), &columns = sides_.back();
    const int64_t row = i * kTileSize, column = j * kTileSize;
    kernels_.float_tiles.block_product(panels_.anchors.block(i), panels_.refs().block(j),
                                       problem_.batch.dim, tile);
    kernels_.windows.values(tile, rows.sign, rows.bias.data() + row, columns.bias.data() + column);
    if (kind == TileKind::kMixed) {
      for (int64_t r = 0; r < kTileSize; ++r) {
        const Range same = problem_.same_columns(row + r, j);
        float* line = tile + r * kTileSize;
        std::fill(line + same.begin, line + same.end, INFINITY);
      }
    }
    look<false>(tile, i, rows.slack.data() + row, columns.slack.data() + column, column);
    if (problem_.batch.self && i != j) {
      look<true>(tile, j, columns.slack.data() + column, rows.slack.data() + row, row);
    }
  }

  // Offers what lies in the windows of the anchors of a block, the tile's rows or its columns.
  // `first_partner` is the position of the other side's first.
  template <bool kColumns>
  void look(const float* tile, int64_t block, const float* slack, const float* partner_slack,
            int64_t first_partner) {
    for (int64_t k = 0; k < positives_.most(block); ++k) {
      const int64_t slots = positives_.first_slot(block) + k * kTileSize;
      found_.offer_tile<kColumns>(
          kernels_.windows, tile,
          {slack, partner_slack, low_.data() + slots, high_.data() + slots, nullptr}, slots,
          first_partner, problem_.labels.refs.data());
    }
  }

  // The canonical pick, empty where the anchor is to be solved directly.
  Pick pick(int64_t a, int64_t k) const {
    const RowLayout row = problem_.layout(a);
    const int64_t slot = positives_.slot(a, k);
    const double threshold = positives_(a, k).key;
    if (threshold != threshold || found_.given_up(slot)) return {};
    Pick best;
    bool has_nan = false;
    const auto try_negative = [&](int64_t s) {
      const double key = problem_.key(a, s);
      has_nan |= key != key;
      if (key > threshold && best.loses_to_negative(key, s, row.index)) best = {s, key};
    };
    found_.for_each(slot, found_.threshold(slot), try_negative);
    for (const int64_t s : panels_.refs().odd_positions) {
      if (s < row.same.begin || s >= row.same.end) try_negative(s);
    }
    return has_nan ? Pick{} : best;
  }

  const Problem<Real>& problem_;
  const PanelPair<float>& panels_;
  const TripletKernels& kernels_;
  SortedPositives<Real> positives_;
  Candidates found_;
  std::vector<float> low_, high_;  // [slots]
  std::vector<SearchSide> sides_;
  std::vector<float> workspace_;
};

}  // namespace fused_rankloss::cpu::triplet
