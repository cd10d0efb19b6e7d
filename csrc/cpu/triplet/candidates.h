// SPDX-License-Identifier: BSD-3-Clause
//
// What a search keeps of each row: the partners that may have the smallest value.
//
// A value is known as an interval [value, value + slack]. The threshold is the smallest upper end
// seen; whatever lies above it cannot win, everything else is kept until it is evaluated exactly.
// A row with more than kCandidates of them is given up: its threshold sinks out of reach, and
// it must be solved directly. Where values are exact, one candidate is enough: ties are decided at
// once.
#pragma once

#include <cfloat>
#include <cstdint>
#include <vector>

#include "cpu/simd/tile_sizes.h"
#include "cpu/simd/triplet_kernels.h"
#include "cpu/triplet/policy.h"

namespace fused_rankloss::cpu::triplet {

class Candidates {
 public:
  // `exact` tells that values are exact, all slacks 0.
  Candidates(int64_t num_rows, bool exact)
      : exact_(exact),
        threshold_(num_rows, FLT_MAX),
        count_(num_rows),
        entries_(num_rows * kCandidates) {}

  // Offers all values of a tile that lie in the windows of its rows or, with kColumns, its columns.
  // Row (column) t is row slot + t here, and partner s has the position first_partner + s; ties go
  // to the lowest index. `windows` lacks the thresholds.
  template <bool kColumns>
  void offer_tile(const WindowKernels& kernels, const float* tile, Windows windows, int64_t slot,
                  int64_t first_partner, const int64_t* index) {
    uint8_t reached[kTileSize];
    windows.threshold = threshold_.data() + slot;
    (kColumns ? kernels.columns : kernels.rows)(tile, windows, reached);
    for (int64_t t = 0; t < kTileSize; ++t) {
      if (!reached[t]) continue;
      for (int64_t s = 0; s < kTileSize; ++s) {
        const float value = kColumns ? tile[s * kTileSize + t] : tile[t * kTileSize + s];
        if (!(value <= windows.threshold[t])) continue;
        const float slack = windows.slack[t] + windows.partner_slack[s];
        if (value + slack > windows.low[t]) keep(slot + t, value, first_partner + s, index);
      }
    }
  }

  bool given_up(int64_t row) const { return count_[row] == kGivenUp; }
  // Nothing above it can win.
  float threshold(int64_t row) const { return threshold_[row]; }

  // Calls `body` with the position of every candidate of the row with a value up to `threshold`.
  template <typename Body>
  void for_each(int64_t row, float threshold, const Body& body) const {
    for (int32_t t = 0; t < count_[row]; ++t) {
      const Entry& entry = entries_[row * kCandidates + t];
      if (entry.value <= threshold) body(entry.position);
    }
  }

 private:
  struct Entry {
    float value;
    int32_t position;
  };
  static constexpr int32_t kGivenUp = -1;

  void keep(int64_t row, float value, int64_t position, const int64_t* index) {
    float& threshold = threshold_[row];
    int32_t& count = count_[row];
    Entry* entries = entries_.data() + row * kCandidates;
    if (exact_) {
      const bool tied = count > 0 && entries[0].value == value;
      if (tied && index[entries[0].position] < index[position]) return;
      entries[0] = {value, static_cast<int32_t>(position)};
      count = 1;
      return;
    }
    if (count == kCandidates) {
      count = 0;
      for (int32_t t = 0; t < kCandidates; ++t) {
        if (entries[t].value <= threshold) entries[count++] = entries[t];
      }
      if (count == kCandidates) {
        count = kGivenUp;
        threshold = -FLT_MAX;
        return;
      }
    }
    entries[count++] = {value, static_cast<int32_t>(position)};
  }

  bool exact_;
  std::vector<float> threshold_;
  std::vector<int32_t> count_;
  std::vector<Entry> entries_;
};

}  // namespace fused_rankloss::cpu::triplet
