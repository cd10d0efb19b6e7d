// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/platform.h"

namespace fused_rankloss {

// Compilers do not reorder sums of floats, but nvcc contracts a product that meets a sum; where the
// product must be a rounded number of its own, this says so.
FRL_HD float rounded_product(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

}  // namespace fused_rankloss
