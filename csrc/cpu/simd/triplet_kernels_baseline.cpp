// SPDX-License-Identifier: BSD-3-Clause
//
// For every processor.
#include <limits>
#include <type_traits>

#include "cpu/triplet_kernels.h"

#define FRL_VECTOR_BYTES 16

namespace fused_rankloss::cpu::baseline {
namespace {

// clang-format off: in this order
#include "cpu/row_kernels.inl"
#include "cpu/tile_kernels.inl"
#include "cpu/sweep_kernels.inl"
#include "cpu/window_kernels.inl"
// clang-format on

}  // namespace

extern const TripletKernels kTripletKernels;
// Constant, so that no instruction of this set runs before the choice is made.
constinit const TripletKernels kTripletKernels = kernels_for("baseline");

}  // namespace fused_rankloss::cpu::baseline
