// SPDX-License-Identifier: BSD-3-Clause
//
// For every processor.
#include "cpu/pair_loops.h"

namespace fused_rankloss::cpu::baseline {
namespace {

#include "cpu/pair_loops.inl"

}  // namespace

extern const PairLoops kPairLoops;
constinit const PairLoops kPairLoops = loops_for("baseline", PairLosses{});

}  // namespace fused_rankloss::cpu::baseline
