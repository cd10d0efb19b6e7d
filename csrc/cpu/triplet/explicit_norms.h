// SPDX-License-Identifier: BSD-3-Clause
//
// The distances of explicit triplets: those of losses/distance.h and, for "euclidean", the shifted
// norms of torch.nn.TripletMarginLoss. With z = x - y + eps,
//
//   distance = (sum_d |z_d|^p)^(1/p), or max_d |z_d| for p = inf
//   d distance / d z_d = sign(z_d) (|z_d| / distance)^(p - 1)
//
// and 0 where z_d or the distance is 0. For p = inf the elements that tie for the maximum share.
#pragma once

#include <cmath>

#include "args/triplet.h"
#include "cpu/triplet/pairs.h"

namespace fused_rankloss::cpu::triplet {

template <typename Real>
class ExplicitDistance {
 public:
  ExplicitDistance(const TripletRows& rows, const Pairs<Real>& pairs)
      : pairs_(pairs),
        dim_(rows.dim),
        shifted_(rows.is_shifted_norm()),
        p_(rows.p),
        eps_(rows.eps),
        kernels_(triplet_kernels().rows<Real>()) {}

  double operator()(Row<Real> x, Row<Real> y) const {
    if (!shifted_) return pairs_.distance_of(pairs_.key(x, y));
    if (p_ == 2) return exact::sqrt(kernels_.shifted_sum(x.data, y.data, eps_, dim_));
    if (std::isinf(p_)) return largest(x, y);
    const double sum =
        canonical_sum(dim_, [&](int64_t d) { return std::pow(std::abs(shifted(x, y, d)), p_); });
    return std::pow(sum, 1 / p_);
  }

  // Adds weight * d distance(x, y) to the gradients of x and y.
  void add_gradients(double* x_grad, double* y_grad, double weight, double value, Row<Real> x,
                     Row<Real> y) const {
    if (!shifted_) {
      pairs_.add_gradient(x_grad, weight, value, x, y);
      pairs_.add_gradient(y_grad, weight, value, y, x);
      return;
    }
    if (weight == 0 || value == 0) return;
    if (p_ == 2) {
      kernels_.add_difference(x_grad, weight / value, x.data, y.data, eps_, dim_);
      kernels_.add_difference(y_grad, -weight / value, x.data, y.data, eps_, dim_);
      return;
    }
    const double ties = std::isinf(p_) ? count_ties(x, y, value) : 1;
    for (int64_t d = 0; d < dim_; ++d) {
      const double slope = weight * derivative(shifted(x, y, d), value) / ties;
      x_grad[d] += slope;
      y_grad[d] -= slope;
    }
  }

 private:
  double shifted(Row<Real> x, Row<Real> y, int64_t d) const {
    return static_cast<double>(x.data[d]) - static_cast<double>(y.data[d]) + eps_;
  }

  double largest(Row<Real> x, Row<Real> y) const {
    double most = 0;
    for (int64_t d = 0; d < dim_; ++d) {
      const double size = std::abs(shifted(x, y, d));
      if (!(size <= most)) most = size;
      if (most != most) break;
    }
    return most;
  }

  double count_ties(Row<Real> x, Row<Real> y, double value) const {
    int64_t ties = 0;
    for (int64_t d = 0; d < dim_; ++d) ties += std::abs(shifted(x, y, d)) == value;
    return static_cast<double>(ties);
  }

  double derivative(double z, double value) const {
    if (z == 0) return 0;
    const double sign = z > 0 ? 1 : -1;
    if (std::isinf(p_)) return std::abs(z) == value ? sign : 0;
    return sign * std::pow(std::abs(z) / value, p_ - 1);
  }

  const Pairs<Real>& pairs_;
  int64_t dim_;
  bool shifted_;
  double p_;
  double eps_;
  const RowKernels<Real>& kernels_;
};

}  // namespace fused_rankloss::cpu::triplet
