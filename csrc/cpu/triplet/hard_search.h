// SPDX-License-Identifier: BSD-3-Clause
//
// The hardest positive and negative of every anchor.
//
// Work: products of tiles of centred fp32 rows (panels.h), half of them where the
// references are the anchors, as a tile serves its rows and its columns. The epilogue adds norms
// and compares minima with thresholds; only rows and columns that reach theirs are looked at
// closely. Positives of small classes are evaluated one by one instead. Tiles of a label's own
// block are searched for positives by turning the sign: both searches look for a minimum.
//
// Exactness: norms are made smaller (or, for positives, greater) by the error bound, so that a
// value is a lower bound and candidates are certain to contain the winner (candidates.h);
// they are then evaluated canonically, as are all pairs of odd rows. Rounding, tiles and threads
// cannot show in a result.
//
// Memory: the panels, O(N + M) candidates, a tile a thread.
#pragma once

#include "cpu/simd/tile_sizes.h"
#include "cpu/triplet/candidates.h"
#include "cpu/triplet/direct.h"
#include "cpu/triplet/panels.h"
#include "cpu/triplet/policy.h"
#include "cpu/triplet/positives.h"
#include "cpu/triplet/tournament.h"

namespace fused_rankloss::cpu::triplet {

// One of the two searches: what is added to products, and how much too low the sum may be.
struct SearchSide {
  float sign;
  std::vector<float> bias;   // [rows], infinite for a row that takes no part
  std::vector<float> slack;  // [rows]

  static SearchSide negatives(const Panels<float>& panels, const ErrorBound& bound) {
    return SearchSide(panels, bound, 1);
  }
  static SearchSide positives(const Panels<float>& panels, const ErrorBound& bound) {
    return SearchSide(panels, bound, -1);
  }

 private:
  SearchSide(const Panels<float>& panels, const ErrorBound& bound, int direction)
      : sign(static_cast<float>(-direction)), bias(panels.norm.size()), slack(panels.norm.size()) {
    for (size_t t = 0; t < bias.size(); ++t) {
      const double norm = panels.norm[t];
      const double error = norm * bound.relative + bound.absolute;
      bias[t] = std::isinf(norm) ? INFINITY : static_cast<float>(direction * norm - error);
      slack[t] = std::isinf(norm) ? 0 : static_cast<float>(2.01 * error);
    }
  }
};

// The hardest pair of an anchor.
struct HardPicks {
  Pick positive;
  Pick negative;
};

template <typename Real>
class HardSearch {
 public:
  // `positives`, where somebody has sorted them already, need no search.
  HardSearch(const Problem<Real>& problem, const PanelPair<float>& panels,
             const SortedPositives<Real>* positives = nullptr)
      : problem_(problem),
        sorted_(positives),
        anchors_(panels.anchors),
        refs_(panels.refs()),
        exact_(panels.exact()),
        kernels_(triplet_kernels()) {
    const ErrorBound bound = ErrorBound::of<float>(problem.batch.dim, exact_);
    make_sides(SearchSide::negatives, bound, negative_sides_);
    for (const Range& range : problem.labels.classes) {
      search_positives_ |= range.size() > kDirectClass && sorted_ == nullptr;
    }
    if (search_positives_) make_sides(SearchSide::positives, bound, positive_sides_);
  }

  // The hardest pair of every anchor with a triplet, by position.
  std::vector<HardPicks> run() {
    return run([](int64_t, int64_t, float*, int) {});
  }

  // The same, letting others look at the products of a tile first: visit(i, j, products, worker)
  // may overwrite those of a label with itself where `positives` are sorted already.
  // Without references, what they keep for the anchors of blocks i and j is theirs alone.
  template <typename Visit>
  std::vector<HardPicks> run(const Visit& visit) {
    // Parts of the references have candidates of their own.
    const bool self = problem_.batch.self;
    const int64_t blocks = anchors_.num_blocks, ref_blocks = refs_.num_blocks;
    if (!self && blocks > 0) {
      num_parts_ = std::clamp<int64_t>((kSearchTasks + blocks - 1) / blocks, 1,
                                       std::max<int64_t>(ref_blocks, 1));
    }
    rows_ = blocks * kTileSize;
    negatives_.emplace(num_parts_ * rows_, exact_);
    if (search_positives_) positives_.emplace(num_parts_ * rows_, exact_);
    const int64_t workspace = 2 * kTileSize * kTileSize;
    workspace_.resize(problem_.team.size() * workspace);
    const auto search = [&](int64_t i, int64_t j, int64_t part, int worker) {
      float* tile = workspace_.data() + worker * workspace;
      kernels_.float_tiles.block_product(anchors_.block(i), refs_.block(j), problem_.batch.dim,
                                         tile);
      visit(i, j, tile, worker);
      search_tile(i, j, part, tile);
    };
    if (self) {
      run_tournament(problem_.team, blocks,
                     [&](int64_t i, int64_t j, int worker) { search(i, j, 0, worker); });
    } else {
      problem_.team.run(blocks * num_parts_, [&](int64_t task, int worker) {
        const int64_t block = task / num_parts_, part = task % num_parts_;
        const int64_t end = ref_blocks * (part + 1) / num_parts_;
        for (int64_t j = ref_blocks * part / num_parts_; j < end; ++j) {
          search(block, j, part, worker);
        }
      });
    }

    std::vector<HardPicks> picks(problem_.batch.num_anchors);
    const int64_t each = 16, size = problem_.batch.num_anchors;
    problem_.team.run((size + each - 1) / each, [&](int64_t task, int) {
      std::vector<double> keys;
      for (int64_t a = task * each; a < std::min(size, (task + 1) * each); ++a) {
        if (problem_.layout(a).has_triplet()) picks[a] = pick(a, keys);
      }
    });
    return picks;
  }

 private:
  using Sides = std::vector<SearchSide>;  // the anchors' and the references'

  template <typename Make>
  void make_sides(const Make& make, const ErrorBound& bound, Sides& sides) const {
    sides.push_back(make(anchors_, bound));
    if (!problem_.batch.self) sides.push_back(make(refs_, bound));
  }

  void search_tile(int64_t i, int64_t j, int64_t part, float* tile) {
    const TileKind kind = problem_.tile_kind(i, j);
    const int64_t end = std::min(problem_.batch.num_anchors - i * kTileSize, kTileSize);
    if (kind != TileKind::kNegative && search_positives_) {
      float* copy = tile + kTileSize * kTileSize;
      std::fill(copy, copy + kTileSize * kTileSize, INFINITY);
      for (int64_t r = 0; r < end; ++r) {
        // Classes that are evaluated one by one stay out.
        if (!is_searched(i * kTileSize + r)) continue;
        const Range same = problem_.same_columns(i * kTileSize + r, j);
        const float* line = tile + r * kTileSize;
        std::copy(line + same.begin, line + same.end, copy + r * kTileSize + same.begin);
        if (problem_.batch.self && i == j) copy[r * kTileSize + r] = INFINITY;
      }
      scan(i, j, part, positive_sides_, *positives_, copy);
    }
    if (kind == TileKind::kPositive) return;
    if (kind == TileKind::kMixed) {
      for (int64_t r = 0; r < end; ++r) {
        const Range same = problem_.same_columns(i * kTileSize + r, j);
        float* line = tile + r * kTileSize;
        std::fill(line + same.begin, line + same.end, -INFINITY);
      }
    }
    scan(i, j, part, negative_sides_, *negatives_, tile);
  }

  void scan(int64_t i, int64_t j, int64_t part, const Sides& sides, Candidates& found,
            float* tile) {
    const SearchSide &rows = sides.front(), &columns = sides.back();
    const int64_t row = i * kTileSize, column = j * kTileSize;
    kernels_.windows.values(tile, rows.sign, rows.bias.data() + row, columns.bias.data() + column);
    const float* row_slack = rows.slack.data() + row;
    const float* column_slack = columns.slack.data() + column;
    // These windows have no lower end.
    const float* low = lowest_.data();
    const int64_t* index = problem_.labels.refs.data();
    found.offer_tile<false>(kernels_.windows, tile, {row_slack, column_slack, low, low, nullptr},
                            part * rows_ + row, column, index);
    if (!problem_.batch.self || i == j) return;
    found.offer_tile<true>(kernels_.windows, tile, {column_slack, row_slack, low, low, nullptr},
                           column, row, index);
  }

  bool is_searched(int64_t anchor) const {
    return search_positives_ && problem_.labels.same_label[anchor].size() > kDirectClass;
  }

  HardPicks pick(int64_t a, std::vector<double>& keys) const {
    const RowLayout row = problem_.layout(a);
    const bool searched = is_searched(a);
    bool direct = anchors_.odd[a];
    for (int64_t part = 0; part < num_parts_; ++part) {
      direct |= negatives_->given_up(part * rows_ + a) ||
                (searched && positives_->given_up(part * rows_ + a));
    }
    if (direct) {
      keys.resize(row.num_refs);
      problem_.keys(a, keys.data());
      return {hardest_positive(row, keys.data()), hardest_negative(row, keys.data())};
    }
    Pick positive, negative;
    const auto try_positive = [&](int64_t s) {
      if (s == row.self) return;
      const double key = problem_.key(a, s);
      if (positive.loses_to_positive(key, s, row.index)) positive = {s, key};
    };
    const auto try_negative = [&](int64_t s) {
      const double key = problem_.key(a, s);
      if (negative.loses_to_negative(key, s, row.index)) negative = {s, key};
    };
    for_candidates(*negatives_, a, try_negative);
    if (sorted_) {
      positive = sorted_->hardest(a);
    } else if (searched) {
      for_candidates(*positives_, a, try_positive);
    } else {
      for (int64_t s = row.same.begin; s < row.same.end; ++s) try_positive(s);
    }
    for (const int64_t s : refs_.odd_positions) {
      if (s < row.same.begin || s >= row.same.end) {
        try_negative(s);
      } else if (searched) {
        try_positive(s);
      }
    }
    return {positive, negative};
  }

  template <typename Body>
  void for_candidates(const Candidates& found, int64_t a, const Body& body) const {
    float threshold = FLT_MAX;
    for (int64_t part = 0; part < num_parts_; ++part) {
      threshold = std::min(threshold, found.threshold(part * rows_ + a));
    }
    for (int64_t part = 0; part < num_parts_; ++part) {
      found.for_each(part * rows_ + a, threshold, body);
    }
  }

  const Problem<Real>& problem_;
  const SortedPositives<Real>* sorted_;
  const Panels<float>& anchors_;
  const Panels<float>& refs_;
  bool exact_;
  const TripletKernels& kernels_;
  Sides negative_sides_;
  Sides positive_sides_;
  bool search_positives_ = false;
  int64_t num_parts_ = 1;
  int64_t rows_ = 0;
  std::optional<Candidates> negatives_;
  std::optional<Candidates> positives_;
  std::vector<float> lowest_ = std::vector<float>(kTileSize, -INFINITY);
  std::vector<float> workspace_;
};

}  // namespace fused_rankloss::cpu::triplet
