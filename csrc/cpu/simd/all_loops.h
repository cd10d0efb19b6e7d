// SPDX-License-Identifier: BSD-3-Clause
//
// The headers that all_loops.inl needs: to be included before the target instruction set changes.
#pragma once

#include <limits>
#include <type_traits>

#include "cpu/simd/bucket_loops.h"
#include "cpu/simd/catalogue_loops.h"
#include "cpu/simd/lambda_loops.h"
#include "cpu/simd/listwise_loops.h"
#include "cpu/simd/pair_loops.h"
#include "cpu/simd/triplet_kernels.h"
#include "losses/logistic.h"
