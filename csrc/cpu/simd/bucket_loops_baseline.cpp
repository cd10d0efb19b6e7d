// SPDX-License-Identifier: BSD-3-Clause
//
// For every processor.
#include "cpu/place_loops.h"

namespace fused_rankloss::cpu::baseline {
namespace {

#include "cpu/place_loops.inl"

}  // namespace

extern const PlaceLoops kPlaceLoops;
constinit const PlaceLoops kPlaceLoops{loops_of<float>(), loops_of<double>()};

}  // namespace fused_rankloss::cpu::baseline
