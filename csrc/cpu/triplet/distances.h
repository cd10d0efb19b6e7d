// SPDX-License-Identifier: BSD-3-Clause
//
// Tiles of distances between anchors and negatives, in units of the frame.
//
// They come from centred products (panels.h) in fp32 (fp64 for fp64), but for pairs so
// close that |x|^2 + |y|^2 - 2 xy would cancel, and negatives that tie with a positive
// (twins.h): those are evaluated directly.
#pragma once

#include "cpu/simd/tile_sizes.h"
#include "cpu/triplet/panels.h"
#include "cpu/triplet/twins.h"

namespace fused_rankloss::cpu::triplet {

// Below this share of |x|^2 / 2 + |y|^2 / 2, half a squared distance is not taken from a product.
inline constexpr double kCloseness = 1.0 / 16;

template <typename Real>
class TileDistances {
 public:
  TileDistances(const Problem<Real>& problem, const Frame& frame, const PanelPair<Real>& panels)
      : unit(problem.batch.distance == Distance::kEuclidean ? frame.unit : frame.unit * frame.unit),
        problem_(problem),
        frame_(frame),
        panels_(panels),
        closeness_(static_cast<Real>(panels.exact() ? 0 : kCloseness)),
        anchor_norm_(narrow(panels.anchors.norm)),
        ref_norm_(panels.references ? narrow(panels.references->norm) : std::vector<Real>()) {
    // Exact products have exact ties.
    if (!panels.exact()) twins_.emplace(problem);
  }

  const double unit;  // distances in the tiles are in units of 1 / unit

  void product(int64_t i, int64_t j, Real* dots) const {
    triplet_kernels().tiles<Real>().block_product(panels_.anchors.block(i), refs().block(j),
                                                  problem_.batch.dim, dots);
  }

  // The tile of these products, of which those of a label with itself are overwritten: infinite
  // where a pair is no negative. Pairs that are evaluated directly are listed in `direct`, unless
  // it is null.
  void from_products(int64_t i, int64_t j, Real* dots, Real* tile,
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
    const Real* column_norm = (panels_.references ? ref_norm_ : anchor_norm_).data() + column;
    uint8_t close[kTileSize];
    triplet_kernels().sweeps<Real>().distances(dots, tile, row_norm, column_norm,
                                               static_cast<int>(problem_.batch.distance),
                                               closeness_, close);
    const bool any_odd = panels_.anchors.has_odd(i) || refs().has_odd(j);
    const bool any_twins = twins_ && twins_->any();
    for (int64_t r = 0; r < num_rows; ++r) {
      if (!close[r] && !any_odd && !any_twins) continue;
      const Range same = mixed ? problem_.same_columns(row + r, j) : Range{0, 0};
      Real* line = tile + r * kTileSize;
      const int64_t end = std::min(kTileSize, refs().size - column);
      for (int64_t c = 0; c < end; ++c) {
        if (c >= same.begin && c < same.end) continue;
        const bool odd = panels_.anchors.odd[row + r] || refs().odd[column + c];
        // A little more than the kernel's own test has found.
        const Real limit = Real(1.001) * closeness_ * (row_norm[r] + column_norm[c]);
        const bool direct_pair =
            odd || half_square(line[c]) <= limit || (any_twins && ties(row + r, column + c));
        if (!direct_pair) continue;
        const double distance = problem_.pairs.distance_of(problem_.key(row + r, column + c));
        line[c] = static_cast<Real>(distance * unit);
        if (direct) direct->push_back({r, c});
      }
    }
  }

  // What a sum of rows of the panels, with weights of d anchor_sum / d distance (divided by the
  // distance in the tile if Euclidean), is to be multiplied by to be that of the rows themselves.
  double gradient_unit() const {
    switch (problem_.batch.distance) {
      case Distance::kEuclidean:
        return 1;
      case Distance::kSquaredEuclidean:
        return 2 / frame_.unit;
      default:
        return 1 / frame_.unit;
    }
  }

 private:
  static std::vector<Real> narrow(const std::vector<double>& values) {
    return {values.begin(), values.end()};
  }

  const Panels<Real>& refs() const { return panels_.refs(); }

  // Without references, a pair is one both ways.
  bool ties(int64_t anchor, int64_t ref) const {
    return twins_->ties(anchor, ref) || (problem_.batch.self && twins_->ties(ref, anchor));
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

  const Problem<Real>& problem_;
  const Frame& frame_;
  const PanelPair<Real>& panels_;
  Real closeness_;
  std::vector<Real> anchor_norm_, ref_norm_;
  std::optional<Twins<Real>> twins_;
};

}  // namespace fused_rankloss::cpu::triplet
