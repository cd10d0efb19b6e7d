// SPDX-License-Identifier: BSD-3-Clause
//
// Tile choices as data. None of them is measured yet: they are predictions from instruction counts
// and from what the compiler reports, and wait for a GPU to confirm or replace them.
#pragma once

#include "common/platform.h"

namespace fused_rankloss {

inline constexpr int kWarpSize = 32;

// A block owns 32 * rows_per_thread rows. Each of its warps holds all of them and meets every
// `warps`-th column, so that short lists keep all warps busy and a list of 10,000 fills a GPU.
struct PairwiseTile {
  int warps;
  int rows_per_thread;
  int column_bytes;  // of shared memory for the columns of one tile

  FRL_HD constexpr int threads() const { return warps * kWarpSize; }
  FRL_HD constexpr int rows() const { return rows_per_thread * kWarpSize; }
};

// Counting takes about 10 instructions a row and column (as compiled for sm_90) beside one 16-byte
// shared-memory load for 4 rows. More rows would save little of that load and leave a list of
// 10,000 fewer blocks than an H100 has multiprocessors.
inline constexpr PairwiseTile kCountTile{
    .warps = 8, .rows_per_thread = 4, .column_bytes = 16 * 1024};

// Summing values takes 36 registers for the fp64 numbers of 2 rows and their sums.
inline constexpr PairwiseTile kValueTile{
    .warps = 8, .rows_per_thread = 2, .column_bytes = 16 * 1024};

// Blocks a multiprocessor that the compiler must leave registers for, 128 a thread. The loops over
// pairs get by with 76 (sm_80), but the last block's reduction does not: left to itself, or asked
// for three blocks, the compiler spills there.
inline constexpr int kPairwiseBlocks = 2;

inline constexpr int kBackwardThreads = 256;

}  // namespace fused_rankloss
