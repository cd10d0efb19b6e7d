// SPDX-License-Identifier: BSD-3-Clause
//
// Embeddings as operands of tile products: in label order, centred, in panels (tile_kernels.h).
//
//   |x - y|^2 / 2 = n_x + n_y - xy,   n_x = |x|^2 / 2
//
// holds for rows of any common origin and cancels least around their mean. The mean is rounded to a
// grid as coarse as the spread of the rows, and the unit of length is a power of two near that
// spread: small integers stay small integers, whatever was added to all of them.
//
// Numerics: with rows of fp32, half a squared distance computed this way differs from the exact one
// of the rows as they are stored by at most
//
//   (n_x + n_y) * relative + 2 * absolute
//
// where `relative` covers the rounding of rows, of a product of kTileDepth numbers (any order,
// fused or not: k roundings are within k u of sum |x_d y_d| <= n_x + n_y), of the sum of such
// products, of norms and of the last additions; `absolute` covers underflow. Both are 0 where the
// rows are multiples of a common power of two and so small that nothing is ever rounded.
//
// Rows with NaN, infinities or squares beyond fp64 have no place here: they are `odd`, and their
// panels hold zeros.
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/simd/tile_sizes.h"
#include "cpu/triplet/policy.h"
#include "cpu/triplet/problem.h"

namespace fused_rankloss::cpu::triplet {

// Origin and unit of length that anchors and references share.
struct Frame {
  std::vector<double> origin;  // [D]
  double unit = 1;

  // Squares of far smaller numbers would underflow even in fp64.
  bool usable() const { return unit < 0x1p450; }
};

inline constexpr double kMaxSquares = 1e290;

// What is known of a row before there is a frame.
template <typename Real>
bool is_odd(const RowKernels<Real>& kernels, Row<Real> row, int64_t dim) {
  const double squares = kernels.square_sum(row.data, dim);
  // An inverse of 0: a zero row, which is no direction.
  return !(squares <= kMaxSquares) || row.inverse == 0 || row.inverse != row.inverse;
}

template <typename Real>
Frame make_frame(const Problem<Real>& problem, const std::vector<const Embeddings<Real>*>& sides) {
  const int64_t dim = problem.batch.dim;
  const RowKernels<Real>& kernels = triplet_kernels().rows<Real>();
  // Sums of rows and their squares over stretches of fixed size, added up in order.
  struct Moments {
    std::vector<double> sum;
    double squares = 0;
    int64_t count = 0;
  };
  Moments total{std::vector<double>(dim)};
  for (const Embeddings<Real>* side : sides) {
    const int64_t each = std::max<int64_t>(16, kTripletTaskNumbers / std::max<int64_t>(1, dim));
    const int64_t tasks = (side->size() + each - 1) / each;
    std::vector<Moments> parts(tasks);
    problem.team.run(tasks, [&](int64_t task, int) {
      Moments& part = parts[task];
      part.sum.resize(dim);
      for (int64_t i = task * each; i < std::min(side->size(), (task + 1) * each); ++i) {
        const Row<Real> row = (*side)[i];
        const double squares = kernels.square_sum(row.data, dim);
        if (!(squares <= kMaxSquares)) continue;
        part.squares += squares * row.inverse * row.inverse;
        ++part.count;
        kernels.add_row(part.sum.data(), row.data, row.inverse, dim);
      }
    });
    for (const Moments& part : parts) {
      total.squares += part.squares;
      total.count += part.count;
      for (int64_t d = 0; d < dim; ++d) total.sum[d] += part.sum[d];
    }
  }
  Frame frame;
  frame.origin.resize(dim);
  if (total.count == 0 || dim == 0) return frame;
  double mean_squares = 0;
  for (int64_t d = 0; d < dim; ++d) {
    frame.origin[d] = total.sum[d] / static_cast<double>(total.count);
    mean_squares += frame.origin[d] * frame.origin[d];
  }
  // Where the difference below is nothing but rounding errors, these are the spread.
  const double squares = total.squares / static_cast<double>(total.count);
  const double variance = std::max(squares - mean_squares, squares * 0x1p-50);
  int exponent = 0;
  std::frexp(std::sqrt(variance / static_cast<double>(dim)), &exponent);
  exponent = std::max(exponent, -1000);
  frame.unit = std::ldexp(1.0, -exponent);
  for (double& coordinate : frame.origin) {
    coordinate = std::ldexp(std::nearbyint(std::ldexp(coordinate, -exponent)), exponent);
  }
  return frame;
}

template <typename Tile>
struct Panels {
  // `order` is the row at each position.
  template <typename Real>
  Panels(const Problem<Real>& problem, const Embeddings<Real>& rows,
         const std::vector<int64_t>& order, const Frame& frame)
      : size(rows.size()),
        dim(problem.batch.dim),
        num_blocks((size + kTileSize - 1) / kTileSize),
        data(num_blocks * kTileSize * dim),
        norm(num_blocks * kTileSize, std::numeric_limits<double>::infinity()),
        odd(num_blocks * kTileSize) {
    const RowKernels<Real>& kernels = triplet_kernels().rows<Real>();
    std::vector<Grid> grids(num_blocks);
    problem.team.run(num_blocks, [&](int64_t block, int) {
      std::vector<double> centred(dim);
      Grid grid;
      const int64_t end = std::min(size, (block + 1) * kTileSize);
      for (int64_t position = block * kTileSize; position < end; ++position) {
        const Row<Real> row = rows[order[position]];
        if (is_odd(kernels, row, dim)) {
          odd[position] = 1;
          continue;
        }
        kernels.centre_row(centred.data(), row.data, row.inverse, frame.origin.data(), frame.unit,
                           dim);
        if (grid.regular) grid.add(row, centred.data(), frame);
        Tile* out = data.data() + position / kPanel * kPanel * dim + position % kPanel;
        double squares = 0;
        for (int64_t d = 0; d < dim; ++d) {
          const Tile value = static_cast<Tile>(centred[d]);
          out[d * kPanel] = value;
          squares += static_cast<double>(value) * static_cast<double>(value);
        }
        norm[position] = squares / 2;
        grid.max_norm = std::max(grid.max_norm, squares / 2);
      }
      grids[block] = grid;
    });
    for (const Grid& part : grids) grid.add(part);
    for (int64_t position = 0; position < size; ++position) {
      if (odd[position]) odd_positions.push_back(position);
    }
  }

  bool has_odd(int64_t index) const {
    const auto first = odd.begin() + index * kTileSize;
    return !odd_positions.empty() && std::find(first, first + kTileSize, 1) != first + kTileSize;
  }

  const Tile* block(int64_t index) const { return data.data() + index * kTileSize * dim; }

  // Rows as multiples of a common power of two, 2^-kBits * their lowest bit.
  struct Grid {
    static constexpr int kBits = 24;
    bool regular = true;
    uint64_t bits = 0;
    double max_norm = 0;

    template <typename Real>
    void add(Row<Real> row, const double* centred, const Frame& frame) {
      for (size_t d = 0; d < frame.origin.size() && regular; ++d) {
        const double scaled = std::abs(centred[d]) * (1 << kBits);
        // Multiples of the grid are added exactly: centring has rounded nothing if it can be
        // undone.
        regular = scaled < 0x1p52 && scaled == std::floor(scaled) &&
                  std::abs(frame.origin[d]) * frame.unit < 0x1p28 &&
                  centred[d] / frame.unit + frame.origin[d] == row.inverse * row.data[d];
        if (regular) bits |= static_cast<uint64_t>(scaled);
      }
    }

    void add(const Grid& other) {
      regular &= other.regular;
      bits |= other.bits;
      max_norm = std::max(max_norm, other.max_norm);
    }

    // Whether sums up to 4 * max_norm of multiples of half a squared unit are exact.
    bool exact() const {
      if (!regular) return false;
      if (bits == 0) return true;
      const double unit = std::ldexp(1.0, std::countr_zero(bits) - kBits);
      return 4 * max_norm <= std::ldexp(unit * unit / 2, std::numeric_limits<Tile>::digits);
    }
  };

  int64_t size;
  int64_t dim;
  int64_t num_blocks;
  std::vector<Tile> data;  // [num_blocks * kTileSize / kPanel, D, kPanel]
  std::vector<double>
      norm;  // [num_blocks * kTileSize], infinite where there is no row or an odd one
  std::vector<uint8_t> odd;
  std::vector<int64_t> odd_positions;
  Grid grid;
};

// Anchors and references in one frame.
template <typename Tile>
struct PanelPair {
  template <typename Real>
  PanelPair(const Problem<Real>& problem, const Frame& frame)
      : anchors(problem, problem.embeddings, problem.labels.anchors, frame) {
    if (!problem.batch.self) {
      references.emplace(problem, *problem.references, problem.labels.refs, frame);
    }
  }

  const Panels<Tile>& refs() const { return references ? *references : anchors; }

  bool exact() const {
    typename Panels<Tile>::Grid grid = anchors.grid;
    grid.add(refs().grid);
    return grid.exact();
  }

  Panels<Tile> anchors;
  std::optional<Panels<Tile>> references;
};

// The bound stated above.
struct ErrorBound {
  double relative = 0;
  double absolute = 0;

  template <typename Tile>
  static ErrorBound of(int64_t dim, bool exact) {
    if (exact) return {};
    const double roundings = static_cast<double>(std::min(dim, kTileDepth) + dim / kTileDepth + 24);
    const double unit = std::numeric_limits<Tile>::epsilon() / 2;
    return {1.01 * roundings * unit,
            static_cast<double>(dim + 1) * std::numeric_limits<Tile>::min() * unit * 16};
  }
};

}  // namespace fused_rankloss::cpu::triplet
