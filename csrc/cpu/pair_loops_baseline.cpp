// SPDX-License-Identifier: BSD-3-Clause
//
// For every processor.
#include "cpu/pair_loops.h"
#include "losses/hinge.h"
#include "losses/squared_hinge.h"

namespace fused_rankloss::cpu::baseline {
namespace {

#include "cpu/pair_loops.inl"

}  // namespace

extern const PairLoops kPairLoops;
const PairLoops kPairLoops{"baseline", count_violations, sum_pairs<Hinge>, sum_pairs<SquaredHinge>};

}  // namespace fused_rankloss::cpu::baseline
