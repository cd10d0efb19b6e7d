// SPDX-License-Identifier: BSD-3-Clause
//
// What all_loops.inl needs before code is compiled for one instruction set.
#pragma once

#include <limits>
#include <type_traits>

#include "cpu/simd/bucket_loops.h"
#include "cpu/simd/lambda_loops.h"
#include "cpu/simd/listwise_loops.h"
#include "cpu/simd/pair_loops.h"
#include "cpu/simd/triplet_kernels.h"
#include "losses/logistic.h"
