// SPDX-License-Identifier: BSD-3-Clause
//
// Pairs of rows under one of the distances: losses/distance.h by the vector loops of this
// processor. Rows are fp32 or fp64; the 16-bit types are exact in fp32.
#pragma once

#include "cpu/simd/triplet_kernels.h"

namespace fused_rankloss::cpu::triplet {

// The type rows of a stored type are worked on in.
template <typename Stored>
using row_t = compute_t<Stored>;

// A row with what its distances need besides: 1 / |x| for cosine.
template <typename Real>
struct Row {
  const Real* data;
  double inverse = 1;
};

template <typename Real>
class Pairs {
 public:
  Pairs(Distance distance, int64_t dim)
      : distance_(distance), dim_(dim), kernels_(triplet_kernels().rows<Real>()) {}

  Distance distance() const { return distance_; }
  int64_t dim() const { return dim_; }

  double inverse(const Real* x) const {
    return distance_ == Distance::kCosine ? inverse_norm(kernels_.square_sum(x, dim_)) : 1;
  }

  Row<Real> row(const Real* x) const { return {x, inverse(x)}; }

  // What pairs are ordered by.
  double key(Row<Real> x, Row<Real> y) const {
    if (distance_ != Distance::kCosine) return kernels_.difference_sum(x.data, y.data, dim_);
    // A zero row needs no sum: the other row's is finite, or its inverse NaN.
    const double sum = x.inverse == 0 || y.inverse == 0
                           ? x.inverse + y.inverse
                           : kernels_.direction_sum(x.data, x.inverse, y.data, y.inverse, dim_);
    return pair_key(distance_, sum, x.inverse, y.inverse);
  }

  double distance_of(double key) const { return distance_of_key(distance_, key); }

  // grad += weight * d distance(x, y) / dx, where the distance is `value`. A weight of 0 adds 0,
  // whatever the rows hold.
  void add_gradient(double* grad, double weight, double value, Row<Real> x, Row<Real> y) const {
    if (weight == 0) return;
    const double factor = weight * gradient_factor(distance_, value, x.inverse);
    if (distance_ == Distance::kCosine) {
      kernels_.add_direction(grad, factor, value, x.data, x.inverse, y.data, y.inverse, dim_);
    } else {
      kernels_.add_difference(grad, factor, x.data, y.data, 0, dim_);
    }
  }

  // The same without what cosine has behind the difference of directions: add_difference to a sum
  // of many pairs, then project, is add_gradient for all of them.
  void add_difference(double* grad, double weight, double value, Row<Real> x, Row<Real> y) const {
    if (distance_ != Distance::kCosine) return add_gradient(grad, weight, value, x, y);
    if (x.inverse == 0 || y.inverse == 0) return;
    kernels_.add_direction(grad, weight, 0, x.data, x.inverse, y.data, y.inverse, dim_);
  }

  // From d / d xh to d / dx: what points along x goes.
  void project(double* grad, Row<Real> x) const {
    if (distance_ != Distance::kCosine) return;
    double along = 0;
    for (int64_t d = 0; d < dim_; ++d) along += grad[d] * (x.data[d] * x.inverse);
    for (int64_t d = 0; d < dim_; ++d) {
      grad[d] = x.inverse * (grad[d] - along * (x.data[d] * x.inverse));
    }
  }

 private:
  Distance distance_;
  int64_t dim_;
  const RowKernels<Real>& kernels_;
};

}  // namespace fused_rankloss::cpu::triplet
