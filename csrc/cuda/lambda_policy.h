// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes of the kernels of lambda losses as data. None of them is measured yet: they are predictions
// from instruction counts and from what the compiler reports, and wait for a GPU.
#pragma once

#include "cuda/policy.h"

namespace fused_rankloss {

// Lists of up to so many slots are solved in shared memory, by a warp or a block of
// list_team.cuh; longer ones are sorted by a library. A block's 1024 items take 37 KB of the 48 KB
// of static shared memory with fp32 scores, 45 KB with fp64 scores. Their pairs, half a million
// seen from both sides at about 60 issue slots each for lambdarank with five labels, take one of
// an H100's 132 multiprocessors 150 us.
inline constexpr int64_t kShortLambda = kBlockListItems;

// Blocks a multiprocessor that the compiler must leave registers for.
template <typename Real>
inline constexpr int kShortLambdaBlocks = sizeof(Real) == 8 ? 1 : 2;

}  // namespace fused_rankloss
