// SPDX-License-Identifier: BSD-3-Clause
//
// For every processor.
#include "cpu/listwise_loops.h"

namespace fused_rankloss::cpu::baseline {
namespace {

#include "cpu/listwise_loops.inl"

}  // namespace

extern const ListwiseLoops kListwiseLoops;
constinit const ListwiseLoops kListwiseLoops = make_listwise_loops();

}  // namespace fused_rankloss::cpu::baseline
