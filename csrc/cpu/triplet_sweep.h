// SPDX-License-Identifier: BSD-3-Clause
//
// Batch-all: every term of every anchor, without ever holding N^2 numbers.
//
// With the P positives of an anchor as thresholds t_k = distance + margin, a tile of distances to
// negatives is worth sum_k (t_k - d)_+ and the number of t_k > d: P vector operations an element,
// which serve its rows and, where references are the anchors, its columns as anchors too.
//
// Backward: with w_ij = d sum_i / d d_ij, tiles of w_ij + w_ji, divided by d_ij for the Euclidean
// distance, are the weights S of
//
//   grad_i = sum_j S_ij (x_i - x_j) = x_i sum_j S_ij - sum_j S_ij x_j
//
// two more products a tile, as in flash attention. The gradient of a positive pair needs the number
// of its active terms, which is known afterwards.
//
// Numerics: positives by canonical distances and direct differences; negatives by centred products
// in fp32 (fp64 for fp64), but for those so close that |x|^2 + |y|^2 - 2 xy would cancel: they are
// evaluated directly, too. Values and weights are summed in fp64, gradients in the tile's type
// (kRecentTiles) and then rounded once more.
// Determinism: the tournament orders the additions to a block, whatever the number of threads.
// Memory: O(N (P + D)), three tiles a thread.
#pragma once

#include "cpu/tournament.h"
#include "cpu/triplet_panels.h"
#include "cpu/triplet_positives.h"

namespace fused_rankloss::cpu {

// Below this share of |x|^2 / 2 + |y|^2 / 2, half a squared distance is not taken from a product.
inline constexpr double kCloseness = 1.0 / 16;

// Whether distances and margin in units of the frame fit the tiles, and no NaN is about, with which
// sums go where they like: else every anchor is solved directly. Odd rows that are 0 do no harm.
template <typename Real, typename Tile>
bool can_sweep(const Problem<Real>& problem, const Frame& frame, const PanelPair<Tile>& panels) {
  for (const int64_t t : panels.anchors.odd_positions) {
    if (problem.anchor_at(t).inverse != 0) return false;
  }
  for (const int64_t t : panels.refs().odd_positions) {
    if (problem.ref_at(t).inverse != 0) return false;
  }
  return frame.unit * frame.unit * (1 + std::abs(problem.term.margin)) < 0x1p100;
}

template <typename Real>
class AllSweep {
 public:
  AllSweep(const Problem<Real>& problem, const Frame& frame, const PanelPair<Real>& panels)
      : problem_(problem),
        frame_(frame),
        panels_(panels),
        kernels_(triplet_kernels().sweeps<Real>()),
        closeness_(static_cast<Real>(panels.exact() ? 0 : kCloseness)),
        unit_(problem.batch.distance == Distance::kEuclidean ? frame.unit
                                                             : frame.unit * frame.unit),
        num_rows_(panels.anchors.num_blocks * kTileSize),
        value_(num_rows_),
        slope_(num_rows_),
        nonzero_(num_rows_),
        anchor_norm_(narrow(panels.anchors.norm)),
        ref_norm_(panels.references ? narrow(panels.references->norm) : std::vector<Real>()),
        positives_(problem) {
    make_thresholds();
    workspace_.resize(problem.team.size() * kTiles * kTile);
  }

  const SortedPositives<Real>& positives() const { return positives_; }

  // Adds what the tile (i, j) is worth; `dots` are its products, of which those of a label with
  // itself are overwritten.
  void add_tile(int64_t i, int64_t j, Real* dots, int worker) {
    if (problem_.tile_kind(i, j) == TileKind::kPositive) return;
    Real* tile = workspace_.data() + worker * kTiles * kTile;
    to_distances(i, j, dots, tile, nullptr);
    kernels_.sum_rows(tile, terms(i), sums(i));
    if (problem_.batch.self && i != j) kernels_.sum_columns(tile, terms(j), sums(j));
  }

  // All tiles, where nobody else computes the products.
  void run() {
    for_tiles([&](int64_t i, int64_t j, Real* dots, int worker) { add_tile(i, j, dots, worker); });
  }

  // The sums of the anchor at a position.
  AnchorTerms result(int64_t position) const {
    const RowLayout row = problem_.layout(position);
    AnchorTerms terms;
    // The softplus is a function of the gap itself, the hinge is as long as the unit it is measured
    // in.
    terms.value = problem_.term.soft ? value_[position] : value_[position] / unit_;
    terms.slope = slope_[position];
    terms.terms = static_cast<double>(row.positives()) * static_cast<double>(row.negatives());
    terms.nonzero = nonzero_[position];
    return terms;
  }

  // The gradients of the loss, row by row in the order of positions: calls store(index, gradient)
  // and store_ref(index, gradient), the former with both sides where references are the anchors.
  template <typename Upstream, typename Store, typename StoreRef>
  void backward(const Upstream& upstream, const Store& store, const StoreRef& store_ref) {
    const int64_t num_anchors = problem_.batch.num_anchors;
    scale_.assign(num_rows_, 0);
    for (int64_t t = 0; t < num_anchors; ++t) {
      scale_[t] = static_cast<Real>(upstream(problem_.labels.anchors[t]));
    }
    slopes_.assign(thresholds_.size(), 0);
    make_ranks();
    RowMajor anchors(panels_.anchors, problem_.team);
    if (problem_.batch.self) {
      for_tiles([&](int64_t i, int64_t j, Real* dots, int worker) {
        backward_tile(i, j, dots, worker, &anchors, anchors, &anchors, true);
      });
      finish(anchors, problem_.labels.anchors, problem_.embeddings, upstream, store, true, true);
      return;
    }
    RowMajor references(*panels_.references, problem_.team);
    for_tiles([&](int64_t i, int64_t j, Real* dots, int worker) {
      backward_tile(i, j, dots, worker, &anchors, references, nullptr, true);
    });
    // Once more, block by block of the references.
    problem_.team.run(panels_.references->num_blocks, [&](int64_t j, int worker) {
      Real* dots = workspace_.data() + (worker * kTiles + 1) * kTile;
      for (int64_t i = 0; i < panels_.anchors.num_blocks; ++i) {
        if (problem_.tile_kind(i, j) == TileKind::kPositive) continue;
        product(i, j, dots);
        backward_tile(i, j, dots, worker, nullptr, anchors, &references, false);
      }
    });
    finish(anchors, problem_.labels.anchors, problem_.embeddings, upstream, store, true, false);
    finish(references, problem_.labels.refs, *problem_.references, upstream, store_ref, false,
           true);
  }

 private:
  static constexpr int64_t kTile = kTileSize * kTileSize;
  static constexpr int64_t kTiles = 3;  // of a worker: distances, products, weights

  // Rows one after another, and what is added up for them.
  struct RowMajor {
    RowMajor(const Panels<Real>& panels, const Team& team)
        : width((panels.dim + kWideColumns - 1) / kWideColumns * kWideColumns),
          // Rows at a power of two apart would share a few sets of the cache.
          stride(width + 64 / sizeof(Real)),
          rows(panels.num_blocks * kTileSize * stride),
          sums(panels.num_blocks * kTileSize * width),
          recent(sums.size()),
          tiles(panels.num_blocks),
          weights(panels.num_blocks * kTileSize) {
      team.run(panels.num_blocks * kTileSize / kPanel, [&](int64_t panel, int) {
        const Real* from = panels.data.data() + panel * kPanel * panels.dim;
        Real* to = rows.data() + panel * kPanel * stride;
        for (int64_t d = 0; d < panels.dim; ++d) {
          for (int64_t r = 0; r < kPanel; ++r) to[r * stride + d] = from[d * kPanel + r];
        }
      });
    }

    const Real* block(int64_t index) const { return rows.data() + index * kTileSize * stride; }
    Real* recent_sums(int64_t index) { return recent.data() + index * kTileSize * width; }

    void end_tile(int64_t index, const SweepKernels<Real>& kernels) {
      if (++tiles[index] % kRecentTiles != 0) return;
      const int64_t first = index * kTileSize * width;
      kernels.flush(sums.data() + first, recent.data() + first, kTileSize * width);
    }

    int64_t width;
    int64_t stride;
    std::vector<Real> rows;       // [rows, stride]
    std::vector<Real> sums;       // [rows, width], sum_j S_ij x_j
    std::vector<Real> recent;     // [rows, width], of the last few tiles, not yet in `sums`
    std::vector<int64_t> tiles;   // [blocks], tiles so far
    std::vector<double> weights;  // [rows], sum_j S_ij
  };

  static std::vector<Real> narrow(const std::vector<double>& values) {
    return {values.begin(), values.end()};
  }

  const Panels<Real>& refs() const { return panels_.refs(); }
  const std::vector<Real>& ref_norm() const {
    return problem_.batch.self ? anchor_norm_ : ref_norm_;
  }

  void product(int64_t i, int64_t j, Real* dots) const {
    triplet_kernels().tiles<Real>().block_product(panels_.anchors.block(i), refs().block(j),
                                                  problem_.batch.dim, dots);
  }

  template <typename Body>
  void for_tiles(const Body& body) {
    const auto tile = [&](int64_t i, int64_t j, int worker) {
      if (problem_.tile_kind(i, j) == TileKind::kPositive) return;
      Real* dots = workspace_.data() + (worker * kTiles + 1) * kTile;
      product(i, j, dots);
      body(i, j, dots, worker);
    };
    if (problem_.batch.self) {
      run_tournament(problem_.team, panels_.anchors.num_blocks, tile);
    } else {
      problem_.team.run(panels_.anchors.num_blocks, [&](int64_t i, int worker) {
        for (int64_t j = 0; j < refs().num_blocks; ++j) tile(i, j, worker);
      });
    }
  }

  void make_thresholds() {
    thresholds_.assign(positives_.num_slots(), -std::numeric_limits<Real>::infinity());
    for (int64_t t = 0; t < problem_.batch.num_anchors; ++t) {
      for (int64_t k = 0; k < positives_.count(t); ++k) {
        const double distance = problem_.pairs.distance_of(positives_(t, k).key);
        thresholds_[positives_.slot(t, k)] =
            static_cast<Real>((distance + problem_.term.margin) * unit_);
      }
    }
  }

  // For the backward pass: the way from a positive to its threshold.
  void make_ranks() {
    const int64_t num_anchors = problem_.batch.num_anchors;
    first_.assign(num_anchors + 1, 0);
    for (int64_t t = 0; t < num_anchors; ++t) {
      first_[t + 1] = first_[t] + problem_.labels.same_label[t].size();
    }
    rank_.resize(first_.back());
    for (int64_t t = 0; t < num_anchors; ++t) {
      const int64_t first = first_[t] - problem_.labels.same_label[t].begin;
      for (int64_t k = 0; k < positives_.count(t); ++k) {
        rank_[first + positives_(t, k).position] = static_cast<int32_t>(k);
      }
    }
  }

  SweepTerms<Real> terms(int64_t block) const {
    return {thresholds_.data() + positives_.first_slot(block), positives_.most(block),
            static_cast<Real>(problem_.term.boundary), problem_.term.soft,
            static_cast<Real>(std::min(1 / unit_, double{std::numeric_limits<Real>::max()}))};
  }

  SweepWeights<Real> weights(int64_t block, Real* weights, bool slopes) {
    return {weights, scale_.data() + block * kTileSize,
            slopes ? slopes_.data() + positives_.first_slot(block) : nullptr};
  }

  SweepSums sums(int64_t block) {
    const int64_t first = block * kTileSize;
    return {value_.data() + first, slope_.data() + first, nonzero_.data() + first};
  }

  // Products become distances in units of the frame, infinite where a pair is no negative. Pairs
  // that are evaluated directly are listed in `direct`.
  void to_distances(int64_t i, int64_t j, Real* dots, Real* tile,
                    std::vector<Range>* direct) const {
    const int64_t row = i * kTileSize, column = j * kTileSize;
    const int64_t num_rows = std::min(kTileSize, panels_.anchors.size - row);
    const bool mixed = problem_.tile_kind(i, j) == TileKind::kMixed;
    if (mixed) {
      for (int64_t r = 0; r < num_rows; ++r) {
        const Range same = problem_.same_columns(row + r, j);
        Real* line = dots + r * kTileSize;
        std::fill(line + same.begin, line + same.end, -std::numeric_limits<Real>::infinity());
      }
    }
    const Real* row_norm = anchor_norm_.data() + row;
    const Real* column_norm = ref_norm().data() + column;
    uint8_t close[kTileSize];
    kernels_.distances(dots, tile, row_norm, column_norm, static_cast<int>(problem_.batch.distance),
                       closeness_, close);
    const bool any_odd = panels_.anchors.has_odd(i) || refs().has_odd(j);
    for (int64_t r = 0; r < num_rows; ++r) {
      if (!close[r] && !any_odd) continue;
      const Range same = mixed ? problem_.same_columns(row + r, j) : Range{0, 0};
      Real* line = tile + r * kTileSize;
      const int64_t end = std::min(kTileSize, refs().size - column);
      for (int64_t c = 0; c < end; ++c) {
        if (c >= same.begin && c < same.end) continue;
        const bool odd = panels_.anchors.odd[row + r] || refs().odd[column + c];
        // A little more than the kernel's own test has found.
        const Real limit = Real(1.001) * closeness_ * (row_norm[r] + column_norm[c]);
        if (!odd && !(half_square(line[c]) <= limit)) continue;
        const double distance = problem_.pairs.distance_of(problem_.key(row + r, column + c));
        line[c] = static_cast<Real>(distance * unit_);
        if (direct) direct->push_back({r, c});
      }
    }
  }

  Real half_square(Real distance) const {
    switch (problem_.batch.distance) {
      case Distance::kEuclidean:
        return distance * distance / 2;
      case Distance::kSquaredEuclidean:
        return distance / 2;
      default:
        return distance;
    }
  }

  // What a weight in units of the frame is to be multiplied by in the end.
  double factor() const {
    switch (problem_.batch.distance) {
      case Distance::kEuclidean:
        return 1;
      case Distance::kSquaredEuclidean:
        return 2 / frame_.unit;
      default:
        return 1 / frame_.unit;
    }
  }

  // Adds the tile's part to the sums of the anchors i (`to_rows`) and of the references j
  // (`to_columns`), which for a symmetric tile are anchors too.
  void backward_tile(int64_t i, int64_t j, Real* dots, int worker, RowMajor* to_rows,
                     const RowMajor& other, RowMajor* to_columns, bool slopes) {
    Real* const tile = workspace_.data() + worker * kTiles * kTile;
    Real* const weights = workspace_.data() + (worker * kTiles + 2) * kTile;
    std::vector<Range> direct;
    to_distances(i, j, dots, tile, &direct);
    kernels_.weigh_rows(tile, terms(i), this->weights(i, weights, slopes));
    if (problem_.batch.self && i != j) {
      kernels_.weigh_columns(tile, terms(j), this->weights(j, weights, slopes));
    }

    std::vector<double> grad;
    for (const Range& pair : direct) {
      Real& weight = weights[pair.begin * kTileSize + pair.end];
      add_directly(i * kTileSize + pair.begin, j * kTileSize + pair.end, -weight, to_rows,
                   to_columns, grad);
      weight = 0;
    }
    if (problem_.batch.distance == Distance::kEuclidean) {
      kernels_.divide(weights, tile);
    } else {
      // Coincident points pull nowhere, which the difference of two rounded sums does not show.
      for (int64_t p = 0; p < kTile; ++p) weights[p] = tile[p] == 0 ? Real(0) : weights[p];
    }

    kernels_.add_weights(weights, to_rows ? to_rows->weights.data() + i * kTileSize : nullptr,
                         to_columns ? to_columns->weights.data() + j * kTileSize : nullptr);
    const TileKernels<Real>& tiles = triplet_kernels().tiles<Real>();
    if (to_rows) {
      tiles.add_product(weights, other.block(j), other.stride, other.width,
                        to_rows->recent_sums(i));
      to_rows->end_tile(i, kernels_);
    }
    if (to_columns) {
      tiles.add_transposed_product(weights, other.block(i), other.stride, other.width,
                                   to_columns->recent_sums(j));
      to_columns->end_tile(j, kernels_);
    }
  }

  // The same for one pair, from its difference; `weight` is that of the distance.
  void add_directly(int64_t anchor, int64_t ref, double weight, RowMajor* to_rows,
                    RowMajor* to_columns, std::vector<double>& grad) {
    if (weight == 0) return;
    const Row<Real> x = problem_.anchor_at(anchor), y = problem_.ref_at(ref);
    const double distance = problem_.pairs.distance_of(problem_.key(anchor, ref));
    const auto add = [&](RowMajor& to, int64_t row, Row<Real> own, Row<Real> other) {
      grad.assign(problem_.batch.dim, 0);
      problem_.pairs.add_difference(grad.data(), weight / factor(), distance, own, other);
      Real* sums = to.recent.data() + row * to.width;
      for (size_t d = 0; d < grad.size(); ++d) sums[d] += static_cast<Real>(grad[d]);
    };
    if (to_rows) add(*to_rows, anchor, x, y);
    if (to_columns) add(*to_columns, ref, y, x);
  }

  // d loss / d distance of an anchor to a reference of its label, as far as it is from its terms.
  template <typename Upstream>
  double positive_weight(int64_t anchor, int64_t ref, const Upstream& upstream) const {
    const RowLayout row = problem_.layout(anchor);
    if (positives_.count(anchor) == 0 || ref == row.self) return 0;
    const int64_t rank = rank_[first_[anchor] + ref - row.same.begin];
    return upstream(problem_.labels.anchors[anchor]) * slopes_[positives_.slot(anchor, rank)];
  }

  double positive_distance(int64_t anchor, int64_t ref) const {
    const int64_t rank = rank_[first_[anchor] + ref - problem_.labels.same_label[anchor].begin];
    return problem_.pairs.distance_of(positives_(anchor, rank).key);
  }

  // Gradients from sums, with the positives' part.
  template <typename Upstream, typename Store>
  void finish(const RowMajor& side, const std::vector<int64_t>& order,
              const Embeddings<Real>& embeddings, const Upstream& upstream, const Store& store,
              bool as_anchor, bool as_ref) const {
    const int64_t dim = problem_.batch.dim, size = embeddings.size();
    const double factor = this->factor();
    problem_.team.run((size + kTileSize - 1) / kTileSize, [&](int64_t block, int) {
      std::vector<double> grad(dim);
      for (int64_t t = block * kTileSize; t < std::min(size, (block + 1) * kTileSize); ++t) {
        const Real* sums = side.sums.data() + t * side.width;
        const Real* recent = side.recent.data() + t * side.width;
        const Real* row = side.rows.data() + t * side.stride;
        for (int64_t d = 0; d < dim; ++d) {
          const double sum = static_cast<double>(sums[d]) + static_cast<double>(recent[d]);
          grad[d] = factor * (sum - side.weights[t] * static_cast<double>(row[d]));
        }
        const Row<Real> x = embeddings[order[t]];
        // Without references, a partner is one both ways, at the same distance.
        const Range partners =
            as_anchor ? problem_.labels.same_label[t] : problem_.labels.anchors_of_ref[t];
        for (int64_t s = partners.begin; s < partners.end; ++s) {
          double weight = as_anchor ? positive_weight(t, s, upstream) : 0;
          if (as_ref) weight += positive_weight(s, t, upstream);
          if (weight == 0) continue;
          problem_.pairs.add_difference(
              grad.data(), weight, as_anchor ? positive_distance(t, s) : positive_distance(s, t), x,
              as_anchor ? problem_.ref_at(s) : problem_.anchor_at(s));
        }
        problem_.pairs.project(grad.data(), x);
        store(order[t], grad.data());
      }
    });
  }

  const Problem<Real>& problem_;
  const Frame& frame_;
  const PanelPair<Real>& panels_;
  const SweepKernels<Real>& kernels_;
  Real closeness_;
  double unit_;  // distances in the tiles are in units of 1 / unit_
  int64_t num_rows_;
  std::vector<double> value_, slope_, nonzero_;  // [num_rows], by position
  std::vector<Real> anchor_norm_, ref_norm_;

  SortedPositives<Real> positives_;
  std::vector<Real> thresholds_;  // [slots]
  std::vector<double> slopes_;    // [slots], sums of d term / d gap
  std::vector<int64_t> first_;    // [N + 1], where an anchor's references of its label begin
  std::vector<int32_t> rank_;     // [first.back()], which threshold such a reference is
  std::vector<Real> scale_;       // [num_rows], d loss / d anchor_sum
  std::vector<Real> workspace_;
};

}  // namespace fused_rankloss::cpu
