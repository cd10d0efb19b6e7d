// SPDX-License-Identifier: BSD-3-Clause
//
// The tiles that the blocks of a search meet (csrc/cuda/triplet/batch_hard/schedule.cuh), without
// the search.
#include <span>

#include "cuda/triplet/batch_hard/schedule.cuh"

namespace fused_rankloss::host {

using namespace cuda;
using namespace cuda::triplet;

namespace {

// The sizes of a TileProduct, and tiles as wide as a block has rows. Pairs are counted in squares
// of kUnit rows.
constexpr int kUnit = 64;
struct NarrowTiles {
  static constexpr int kRows = 2 * kUnit, kColumns = kUnit;
};
struct SquareTiles {
  static constexpr int kRows = 2 * kUnit, kColumns = 2 * kUnit;
};

struct Noted {
  std::span<int32_t> met;  // [row units, column units], how often the pairs count for their rows
  int column_units;
  bool inside = true;

  void meet(int row, int column) {
    const std::size_t place = static_cast<std::size_t>(row) * column_units + column;
    inside &= column < column_units && place < met.size();
    if (inside) ++met[place];
  }
};

template <class Product>
__global__ void note_tiles(const SearchParams params, Noted* noted) {
  const SearchPlan<Product> plan(params);
  const Positions tiles = plan.tiles();
  for (int32_t index = tiles.begin; index < tiles.end; ++index) {
    const int32_t first_column = plan.column_of(index);
    const int row = plan.first_row() / kUnit, column = first_column / kUnit;
    for (int r = row; r < row + Product::kRows / kUnit; ++r) {
      for (int c = column; c < column + Product::kColumns / kUnit; ++c) {
        noted->meet(r, c);
        if (plan.two_sided(first_column)) noted->meet(c, r);
      }
    }
  }
}

// Returns whether there is nothing outside.
template <class Product>
bool note(const SearchParams& params, std::span<int32_t> met) {
  Noted noted{met, static_cast<int>(params.data.refs.padded_rows / kUnit)};
  const auto blocks = static_cast<unsigned>(params.num_row_blocks * params.splits);
  cuda_host::launch({.grid = {blocks}, .block = {1}}, note_tiles<Product>, params, &noted);
  return noted.inside;
}

}  // namespace
}  // namespace fused_rankloss::host

// met: zeroes, [2 row_blocks, 2 column_blocks].
extern "C" __attribute__((visibility("default"))) bool note_met(int row_blocks, int column_blocks,
                                                                bool symmetric, int splits,
                                                                bool square, int32_t* met) {
  using namespace fused_rankloss::host;
  fused_rankloss::cuda::triplet::SearchParams params{};
  params.symmetric = symmetric;
  params.num_row_blocks = row_blocks;
  params.splits = splits;
  params.data.refs.padded_rows = int64_t{column_blocks} * SquareTiles::kColumns;
  const std::span<int32_t> all(met, std::size_t{4} * row_blocks * column_blocks);
  return square ? note<SquareTiles>(params, all) : note<NarrowTiles>(params, all);
}
