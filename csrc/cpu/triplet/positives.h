// SPDX-License-Identifier: BSD-3-Clause
//
// The positives of every anchor in ascending order of their canonical keys, and where the numbers
// that belong to each of them are kept while tiles are swept: those of a block of anchors
// together, [most positives of an anchor in the block, kTileSize].
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/simd/tile_sizes.h"
#include "cpu/triplet/problem.h"

namespace fused_rankloss::cpu::triplet {

template <typename Real>
class SortedPositives {
 public:
  explicit SortedPositives(const Problem<Real>& problem) {
    const int64_t num_anchors = problem.batch.num_anchors;
    const int64_t num_blocks = (num_anchors + kTileSize - 1) / kTileSize;
    block_first_.resize(num_blocks + 1);
    first_.resize(num_anchors + 1);
    for (int64_t b = 0; b < num_blocks; ++b) {
      int64_t most = 0;
      for (int64_t t = b * kTileSize; t < std::min(num_anchors, (b + 1) * kTileSize); ++t) {
        const RowLayout row = problem.layout(t);
        const int64_t count = row.has_triplet() ? row.positives() : 0;
        most = std::max(most, count);
        first_[t + 1] = first_[t] + count;
      }
      block_first_[b + 1] = block_first_[b] + most;
    }
    picks_.resize(first_.back());
    problem.team.run(num_blocks, [&](int64_t b, int) {
      for (int64_t t = b * kTileSize; t < std::min(num_anchors, (b + 1) * kTileSize); ++t) {
        if (count(t) == 0) continue;
        Pick* next = picks_.data() + first_[t];
        problem.layout(t).for_positives([&](int64_t s) { *next++ = {s, problem.key(t, s)}; });
        sort_picks(picks_.data() + first_[t], next);
      }
    });
  }

  int64_t count(int64_t anchor) const { return first_[anchor + 1] - first_[anchor]; }
  const Pick* of(int64_t anchor) const { return picks_.data() + first_[anchor]; }
  const Pick& operator()(int64_t anchor, int64_t k) const { return picks_[first_[anchor] + k]; }

  // Of those with the greatest key, the one of lowest index.
  Pick hardest(int64_t anchor) const {
    int64_t k = count(anchor) - 1;
    while (k > 0 && (*this)(anchor, k - 1).key == (*this)(anchor, k).key) --k;
    return (*this)(anchor, k);
  }

  int64_t num_slots() const { return block_first_.back() * kTileSize; }
  int64_t slot(int64_t anchor, int64_t k) const {
    return (block_first_[anchor / kTileSize] + k) * kTileSize + anchor % kTileSize;
  }
  int64_t first_slot(int64_t block) const { return block_first_[block] * kTileSize; }
  int64_t most(int64_t block) const { return block_first_[block + 1] - block_first_[block]; }

 private:
  std::vector<int64_t> first_;        // [N + 1]
  std::vector<Pick> picks_;           // [first.back()]
  std::vector<int64_t> block_first_;  // [blocks + 1]
};

}  // namespace fused_rankloss::cpu::triplet
