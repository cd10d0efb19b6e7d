// SPDX-License-Identifier: BSD-3-Clause
//
// Direct loops over the pairs of a short list: below a few hundred items they are faster than
// sorting. The same source (pair_loops.inl) is compiled once per instruction set, and the best one
// that this processor supports is chosen when the library loads. Results are the same bit for bit:
// counts are integers, and sums use eight fixed lanes for any vector width.
#pragma once

#include <cstdint>

#include "common/ordered.h"
#include "cpu/simd/pair_sums.h"
#include "losses/pair_losses.h"

namespace fused_rankloss::cpu {

// Items in ascending label order; grade g is [starts[g], starts[g + 1]). Every item of a grade
// forms a pair with every item of the grades before it, the less relevant one.
struct PairGrades {
  const int32_t* starts;  // [num_grades + 1]
  int32_t num_grades;
};

struct PairLoops {
  const char* isa;

  // counts[t] = violated pairs in which t is less relevant - those in which it is more relevant.
  // Returns the number of violated pairs.
  int64_t (*count_violations)(const float* scores,  // [n]
                              double margin,
                              bool inclusive,  // whether s_i = s_j + margin is a violation
                              PairGrades grades,
                              float* reaches,  // [n], scratch, see common/ordered.h
                              int32_t* counts  // [n]
  );

  // grads[t] += d/ds_t of the sum over pairs of more_weight_i * less_weight_j * value(gap_ij).
  using SumPairs = PairSums (*)(const double* scores,  // [n]
                                double margin,
                                const double* more_weight,  // [n], as the more relevant item
                                const double* less_weight,  // [n], as the less relevant item
                                double boundary_grad, PairGrades grades, double* grads /* [n] */);
  SumPairs sum_pairs[PairLosses::kSize];

  template <typename Loss>
  SumPairs sum_pairs_of() const {
    return sum_pairs[PairLosses::index_of<Loss>()];
  }
};

// Those of the chosen instruction set (cpu/simd/isa.h).
const PairLoops& pair_loops();

}  // namespace fused_rankloss::cpu
