// SPDX-License-Identifier: BSD-3-Clause
//
// Batch-all: every term of every anchor, without storing N^2 numbers.
//
// With the P positives of an anchor as thresholds t_k = distance + margin, a negative at distance d
// contributes sum_k (t_k - d)_+ and the number of t_k > d. This takes P vector operations per
// element of a tile, which serves its rows and, if the references are the anchors, also its columns
// as anchors.
//
// Gradients: with w_ij = d sum_i / d d_ij, tiles of w_ij + w_ji, divided by d_ij for the Euclidean
// distance, are the weights S of
//
//   grad_i = sum_j S_ij (x_i - x_j) = x_i sum_j S_ij - sum_j S_ij x_j
//
// This takes two more products per tile, as in flash attention. The gradient of a positive pair
// needs the number of its active terms, and that of a mean the number of all terms: both are known
// only after the sweep.
//
// Numerics: positives by canonical distances and direct differences, negatives as in distances.h.
// Values and weights are summed in fp64, gradients in the tile's type (kRecentTiles) and then
// rounded once more. Values do not depend on whether gradients are wanted. Determinism: the
// tournament fixes the order of additions to a block, for any number of threads. Memory: O(N
// (P + D)), three tiles per thread.
#pragma once

#include "cpu/simd/tile_sizes.h"
#include "cpu/triplet/distances.h"
#include "cpu/triplet/policy.h"
#include "cpu/triplet/positives.h"
#include "cpu/triplet/row_sums.h"
#include "cpu/triplet/tournament.h"

namespace fused_rankloss::cpu::triplet {

// Whether distances and margin in units of the frame fit the tiles, and no NaN occurs, which would
// make the sums unspecified. Otherwise every anchor is solved directly. Odd rows that are 0 are
// allowed.
template <typename Real>
bool can_sweep(const Problem<Real>& problem, const Frame& frame, const PanelPair<Real>& panels) {
  for (const int64_t t : panels.anchors.odd_positions) {
    if (problem.anchor_at(t).inverse != 0) return false;
  }
  for (const int64_t t : panels.refs().odd_positions) {
    if (problem.ref_at(t).inverse != 0) return false;
  }
  return frame.unit * frame.unit * (1 + std::abs(problem.term.margin)) < 0x1p100;
}

// The results that a sweep computes: those of the anchors, the gradients, or both.
struct SweepWanted {
  bool results;
  bool gradients;
};

template <typename Real>
class AllSweep {
 public:
  AllSweep(const Problem<Real>& problem, const Frame& frame, const PanelPair<Real>& panels,
           const SweepWanted& wanted)
      : problem_(problem),
        panels_(panels),
        kernels_(triplet_kernels().sweeps<Real>()),
        distances_(problem, frame, panels),
        positives_(problem),
        slopes_(positives_.num_slots()),
        workspace_(problem.team.size() * kTiles * kTile) {
    const int64_t num_rows = panels.anchors.num_blocks * kTileSize;
    make_thresholds();
    if (wanted.results) {
      value_.resize(num_rows);
      nonzero_.resize(num_rows);
    }
    if (!wanted.gradients) return;
    grad_output_.assign(num_rows, 1);
    scale_.assign(num_rows, 1);
    anchors_.emplace(panels.anchors, problem.team);
    if (!problem.batch.self) references_.emplace(*panels.references, problem.team);
  }

  const SortedPositives<Real>& positives() const { return positives_; }

  // Sets the factor of the sum of each anchor's terms, before tiles are added. Default: 1.
  template <typename GradOutput>
  void set_grad_output(const GradOutput& grad_output) {
    for (int64_t t = 0; t < problem_.batch.num_anchors; ++t) {
      grad_output_[t] = grad_output(problem_.labels.anchors[t]);
      scale_[t] = static_cast<Real>(grad_output_[t]);
    }
  }

  // Without references: adds the contribution of tile (i, j). `dots` are its products; those of
  // rows with the same label are overwritten.
  void add_tile(int64_t i, int64_t j, Real* dots, int worker) {
    if (problem_.tile_kind(i, j) == TileKind::kPositive) return;
    RowSums<Real>* sums = anchors_ ? &*anchors_ : nullptr;
    add_tile(i, j, dots, worker, sums, sums, sums);
  }

  // Adds all tiles, if the caller does not compute the products itself.
  void run() {
    const int64_t blocks = panels_.anchors.num_blocks, ref_blocks = panels_.refs().num_blocks;
    if (problem_.batch.self) {
      return run_tournament(problem_.team, blocks, [&](int64_t i, int64_t j, int worker) {
        if (problem_.tile_kind(i, j) == TileKind::kPositive) return;
        add_tile(i, j, product(i, j, worker), worker);
      });
    }
    const auto tile = [&](int64_t i, int64_t j, int worker, bool to_refs) {
      if (problem_.tile_kind(i, j) == TileKind::kPositive) return;
      Real* dots = product(i, j, worker);
      if (to_refs) return add_tile(i, j, dots, worker, nullptr, &*anchors_, &*references_);
      add_tile(i, j, dots, worker, anchors_ ? &*anchors_ : nullptr,
               references_ ? &*references_ : nullptr, nullptr);
    };
    problem_.team.run(blocks, [&](int64_t i, int worker) {
      for (int64_t j = 0; j < ref_blocks; ++j) tile(i, j, worker, false);
    });
    if (!references_) return;
    // A second pass, by blocks of the references.
    problem_.team.run(ref_blocks, [&](int64_t j, int worker) {
      for (int64_t i = 0; i < blocks; ++i) tile(i, j, worker, true);
    });
  }

  // The results of the anchor at a position.
  AnchorTerms result(int64_t position) const {
    const RowLayout row = problem_.layout(position);
    AnchorTerms terms;
    // The softplus is a function of the gap itself; the hinge scales with the unit of length.
    terms.value = problem_.term.soft ? value_[position] : value_[position] / distances_.unit;
    for (int64_t k = 0; k < positives_.count(position); ++k) {
      terms.slope += slopes_[positives_.slot(position, k)];
    }
    terms.terms = static_cast<double>(row.positives()) * static_cast<double>(row.negatives());
    terms.nonzero = nonzero_[position];
    return terms;
  }

  // Computes the gradients of `scale` times the weighted sum of all terms, row by row. Calls
  // store(index, gradient) and store_ref(index, gradient). Without references, the former contains
  // both sides.
  template <typename Store, typename StoreRef>
  void finish(double scale, const Store& store, const StoreRef& store_ref) {
    make_ranks();
    const bool self = problem_.batch.self;
    finish(*anchors_, problem_.labels.anchors, problem_.embeddings, scale, store, true, self);
    if (self) return;
    finish(*references_, problem_.labels.refs, *problem_.references, scale, store_ref, false, true);
  }

 private:
  static constexpr int64_t kTile = kTileSize * kTileSize;
  static constexpr int64_t kTiles = 3;  // per worker: distances, products, weights

  Real* tile_of(int worker, int64_t which) {
    return workspace_.data() + (worker * kTiles + which) * kTile;
  }

  Real* product(int64_t i, int64_t j, int worker) {
    Real* dots = tile_of(worker, 1);
    distances_.product(i, j, dots);
    return dots;
  }

  void make_thresholds() {
    thresholds_.assign(positives_.num_slots(), -std::numeric_limits<Real>::infinity());
    for (int64_t t = 0; t < problem_.batch.num_anchors; ++t) {
      for (int64_t k = 0; k < positives_.count(t); ++k) {
        const double distance = problem_.pairs.distance_of(positives_(t, k).key);
        thresholds_[positives_.slot(t, k)] =
            static_cast<Real>((distance + problem_.term.margin) * distances_.unit);
      }
    }
  }

  // The index of a positive among its anchor's thresholds.
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
    return {
        thresholds_.data() + positives_.first_slot(block), positives_.most(block),
        static_cast<Real>(problem_.term.boundary), problem_.term.soft,
        static_cast<Real>(std::min(1 / distances_.unit, double{std::numeric_limits<Real>::max()}))};
  }

  // `weights` may be null. `again`: the second visit of a tile, for its references, accumulates no
  // sums.
  SweepResults<Real> results(int64_t block, Real* weights, bool again) {
    const int64_t first = block * kTileSize;
    const bool sums = !again && !value_.empty();
    return {again ? nullptr : slopes_.data() + positives_.first_slot(block),
            sums ? value_.data() + first : nullptr, sums ? nonzero_.data() + first : nullptr,
            weights, weights ? scale_.data() + first : nullptr};
  }

  // Adds the tile's contribution to the results of the anchors i (without references, also j). Adds
  // weighted rows of `other` to `to_rows`, and weighted rows of the anchors to `to_columns`.
  void add_tile(int64_t i, int64_t j, Real* dots, int worker, RowSums<Real>* to_rows,
                const RowSums<Real>* other, RowSums<Real>* to_columns) {
    const bool gradients = anchors_.has_value(), again = gradients && !to_rows;
    Real* const tile = tile_of(worker, 0);
    Real* const weights = gradients ? tile_of(worker, 2) : nullptr;
    std::vector<Range> direct;
    distances_.from_products(i, j, dots, tile, gradients ? &direct : nullptr);
    kernels_.visit_rows(tile, terms(i), results(i, weights, again));
    if (problem_.batch.self && i != j) {
      kernels_.visit_columns(tile, terms(j), results(j, weights, again));
    }
    if (!gradients) return;

    std::vector<double> grad;
    for (const Range& pair : direct) {
      Real& weight = weights[pair.begin * kTileSize + pair.end];
      add_directly(i * kTileSize + pair.begin, j * kTileSize + pair.end, -weight, to_rows,
                   to_columns, grad);
      weight = 0;
    }
    kernels_.finish_weights(weights, tile, problem_.batch.distance == Distance::kEuclidean,
                            to_rows ? to_rows->weights.data() + i * kTileSize : nullptr,
                            to_columns ? to_columns->weights.data() + j * kTileSize : nullptr);
    const TileKernels<Real>& tiles = triplet_kernels().tiles<Real>();
    if (to_rows) {
      tiles.add_product(weights, other->block(j), other->stride, other->width,
                        to_rows->recent_block(i));
      to_rows->end_tile(i, kernels_);
    }
    if (to_columns) {
      tiles.add_transposed_product(weights, anchors_->block(i), anchors_->stride, anchors_->width,
                                   to_columns->recent_block(j));
      to_columns->end_tile(j, kernels_);
    }
  }

  // The same for one pair, from its direct difference; `weight` is that of the distance.
  void add_directly(int64_t anchor, int64_t ref, double weight, RowSums<Real>* to_rows,
                    RowSums<Real>* to_columns, std::vector<double>& grad) {
    if (weight == 0) return;
    const Row<Real> x = problem_.anchor_at(anchor), y = problem_.ref_at(ref);
    const double distance = problem_.pairs.distance_of(problem_.key(anchor, ref));
    const auto add = [&](RowSums<Real>& to, int64_t row, Row<Real> own, Row<Real> other) {
      grad.assign(problem_.batch.dim, 0);
      problem_.pairs.add_difference(grad.data(), weight / distances_.gradient_unit(), distance, own,
                                    other);
      Real* sums = to.recent_of(row);
      for (size_t d = 0; d < grad.size(); ++d) sums[d] += static_cast<Real>(grad[d]);
    };
    if (to_rows) add(*to_rows, anchor, x, y);
    if (to_columns) add(*to_columns, ref, y, x);
  }

  int64_t rank_of(int64_t anchor, int64_t ref) const {
    return rank_[first_[anchor] + ref - problem_.labels.same_label[anchor].begin];
  }

  // d weighted sum / d distance of an anchor to a reference of its label.
  double positive_weight(int64_t anchor, int64_t ref) const {
    if (positives_.count(anchor) == 0 || ref == problem_.layout(anchor).self) return 0;
    return grad_output_[anchor] * slopes_[positives_.slot(anchor, rank_of(anchor, ref))];
  }

  double positive_distance(int64_t anchor, int64_t ref) const {
    return problem_.pairs.distance_of(positives_(anchor, rank_of(anchor, ref)).key);
  }

  // Gradients from the sums over negatives, plus the contribution of the positives.
  template <typename Store>
  void finish(const RowSums<Real>& side, const std::vector<int64_t>& order,
              const Embeddings<Real>& embeddings, double scale, const Store& store, bool as_anchor,
              bool as_ref) const {
    const int64_t dim = problem_.batch.dim, size = embeddings.size();
    const double negatives = scale * distances_.gradient_unit();
    problem_.team.run((size + kTileSize - 1) / kTileSize, [&](int64_t block, int) {
      std::vector<double> grad(dim);
      for (int64_t t = block * kTileSize; t < std::min(size, (block + 1) * kTileSize); ++t) {
        side.pull(t, dim, grad.data());
        for (double& coordinate : grad) coordinate *= negatives;
        const Row<Real> x = embeddings[order[t]];
        // Without references, a partner occurs in both roles, at the same distance.
        const Range partners =
            as_anchor ? problem_.labels.same_label[t] : problem_.labels.anchors_of_ref[t];
        for (int64_t s = partners.begin; s < partners.end; ++s) {
          double weight = as_anchor ? positive_weight(t, s) : 0;
          if (as_ref) weight += positive_weight(s, t);
          if (weight == 0) continue;
          problem_.pairs.add_difference(
              grad.data(), scale * weight,
              as_anchor ? positive_distance(t, s) : positive_distance(s, t), x,
              as_anchor ? problem_.ref_at(s) : problem_.anchor_at(s));
        }
        problem_.pairs.project(grad.data(), x);
        store(order[t], grad.data());
      }
    });
  }

  const Problem<Real>& problem_;
  const PanelPair<Real>& panels_;
  const SweepKernels<Real>& kernels_;
  TileDistances<Real> distances_;

  SortedPositives<Real> positives_;
  std::vector<Real> thresholds_;         // [slots]
  std::vector<double> slopes_;           // [slots], sums of d term / d gap
  std::vector<double> value_, nonzero_;  // [rows], by position; empty if not wanted

  std::vector<double> grad_output_;  // [rows]
  std::vector<Real> scale_;          // [rows], the same for the kernels
  std::optional<RowSums<Real>> anchors_, references_;
  std::vector<int64_t> first_;  // [N + 1], start of an anchor's references with its label
  std::vector<int32_t> rank_;   // [first.back()], threshold index of such a reference
  std::vector<Real> workspace_;
};

}  // namespace fused_rankloss::cpu::triplet
