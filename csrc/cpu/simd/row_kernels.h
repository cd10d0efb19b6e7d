// SPDX-License-Identifier: BSD-3-Clause
//
// The inner loops over the numbers of a row: canonical sums (losses/distance.h) and gradients.
//
// Numerics: sums have the same bits on every instruction set: 32 fp64 lanes, whatever the vectors.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu {

template <typename Real>
struct RowKernels {
  // The canonical sums of square_term, difference_term (of x - y + shift) and direction_term.
  double (*square_sum)(const Real* x, int64_t dim);
  double (*difference_sum)(const Real* x, const Real* y, int64_t dim);
  double (*shifted_sum)(const Real* x, const Real* y, double shift, int64_t dim);
  double (*direction_sum)(const Real* x, double x_inverse, const Real* y, double y_inverse,
                          int64_t dim);

  // grad += weight * (x - y + shift)
  void (*add_difference)(double* grad, double weight, const Real* x, const Real* y, double shift,
                         int64_t dim);
  // grad += weight * (xh - yh - distance * xh)
  void (*add_direction)(double* grad, double weight, double distance, const Real* x,
                        double x_inverse, const Real* y, double y_inverse, int64_t dim);

  // sums += scale * x
  void (*add_row)(double* sums, const Real* x, double scale, int64_t dim);
  // out = (scale * x - centre) * unit
  void (*centre_row)(double* out, const Real* x, double scale, const double* centre, double unit,
                     int64_t dim);
};

}  // namespace fused_rankloss::cpu
