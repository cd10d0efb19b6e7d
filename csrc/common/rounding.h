// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>

#include "common/platform.h"

namespace fused_rankloss {

// Compilers do not reorder float sums, but nvcc contracts a product and a sum into one FMA. These
// functions round the product or the sum separately.
FRL_HD float rounded_product(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

FRL_HD double rounded_product(double a, double b) {
#ifdef __CUDA_ARCH__
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

FRL_HD double rounded_sum(double a, double b) {
#ifdef __CUDA_ARCH__
  return __dadd_rn(a, b);
#else
  return a + b;
#endif
}

// a * b + c, rounded once.
FRL_HD double fused_product_sum(double a, double b, double c) {
#ifdef __CUDA_ARCH__
  return __fma_rn(a, b, c);
#else
  return std::fma(a, b, c);
#endif
}

}  // namespace fused_rankloss
