// SPDX-License-Identifier: BSD-3-Clause
//
// The inner loops of ListNet and ListMLE. The same source (listwise_loops.inl) is compiled once per
// instruction set, as pair_loops.h is, and gives the same bits on each: fp64 throughout, sums over
// eight fixed lanes or one by one, products and sums rounded one by one.
#pragma once

#include <cstdint>

#include "common/weights.h"
#include "losses/listwise_terms.h"

namespace fused_rankloss::cpu {

// Items that a loop takes at a time. Their sums join those of the others chunk by chunk, so that
// results do not depend on who computes which.
inline constexpr int64_t kListChunk = 1024;

struct Extremes {
  double lowest;
  double highest;
};

// ---- ListNet ---------------------------------------------------------------

// Sums over the items of a list, with s and y below their maxima.
struct ListNetSums {
  double tops = 0;      // items of the largest score, each of which adds 1 to the scores' sum;
  double rest = 0;      // what others add, which that might swallow
  double labels = 0;    // sum of exp(y)
  double weighted = 0;  // sum of w exp(y)
  double spread = 0;    // sum of w exp(y) (max s - s)

  void add(const ListNetSums& other) {
    tops += other.tops;
    rest += other.rest;
    labels += other.labels;
    weighted += other.weighted;
    spread += other.spread;
  }
};

struct ListNetItems {
  int64_t size;  // <= kListChunk
  double top_score;
  double top_label;
  double* score;         // [size] becomes exp(s - max s)
  double* label;         // [size] becomes w exp(y - max y)
  const double* weight;  // [size], or null for all 1
};

// ---- ListMLE ---------------------------------------------------------------

// A chunk of the order by labels. R is `top`, not below any score of the chunk and behind it.
struct ListMleChunk {
  int64_t size;  // <= kListChunk
  double top;
  const double* score;   // [size]
  const double* weight;  // [size], c
  double* own;           // [size] exp(s_t - R)
  double* sums;  // [size] sum of own from t on; then that of c_u / exp(l_u - R) up to and with t
};

struct ListMleSums {
  double value = 0;   // sum of c_t (l_t - s_t)
  double passed = 0;  // sum of c_t / exp(l_t - R)
};

struct ListwiseLoops {
  // Of numbers that are not NaN.
  Extremes (*extremes)(const double* x, int64_t size);
  bool (*has_nan)(const double* x, int64_t size);
  bool (*are_weights)(const double* x, int64_t size);  // see args/list_inputs.h

  // [wide]: to fp64 accuracy.
  ListNetSums (*list_net_sums[2])(const ListNetItems& items);
  double (*list_mle_exponentials[2])(const ListMleChunk& chunk);  // returns their sum
  // `behind`: the sum of exp(s - R) behind the chunk.
  ListMleSums (*list_mle_terms[2])(const ListMleChunk& chunk, double behind);

  // out[t] = score_factor * score[t] - target_factor * label[t]
  void (*list_net_gradients)(const ListNetItems& items, double score_factor, double target_factor,
                             float* out);
  void (*list_net_wide_gradients)(const ListNetItems& items, double score_factor,
                                  double target_factor, double* out);
  // out[t] = own[t] * (sums[t] + passed) - weight[t]
  void (*list_mle_gradients)(const ListMleChunk& chunk, double passed, float* out);
  void (*list_mle_wide_gradients)(const ListMleChunk& chunk, double passed, double* out);
};

// Those of the chosen instruction set (cpu/simd/isa.h).
const ListwiseLoops& listwise_loops();

}  // namespace fused_rankloss::cpu
