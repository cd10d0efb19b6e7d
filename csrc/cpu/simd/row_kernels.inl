// SPDX-License-Identifier: BSD-3-Clause
//
// Part of all_loops.inl, under its rules.

inline constexpr int64_t kVectorBytes = FRL_VECTOR_BYTES;
inline constexpr int64_t kWidth = kVectorBytes / sizeof(double);
inline constexpr int64_t kVectors = kSumLanes / kWidth;

typedef double Doubles __attribute__((vector_size(kVectorBytes)));
typedef float Floats __attribute__((vector_size(kVectorBytes / 2)));  // as many as Doubles

inline Doubles load(const double* from) {
  Doubles vector;
  __builtin_memcpy(&vector, from, sizeof(vector));
  return vector;
}

inline Doubles load(const float* from) {
  Floats vector;
  __builtin_memcpy(&vector, from, sizeof(vector));
  return __builtin_convertvector(vector, Doubles);
}

inline void store(double* to, Doubles vector) { __builtin_memcpy(to, &vector, sizeof(vector)); }

// The canonical sum of term(x_d, y_d), vectors at a time.
template <typename Real, typename Term>
inline double canonical_row_sum(const Real* x, const Real* y, int64_t dim, const Term& term) {
  Doubles lanes[kVectors] = {};
  int64_t d = 0;
  for (; d + kSumLanes <= dim; d += kSumLanes) {
#pragma GCC unroll 16
    for (int64_t v = 0; v < kVectors; ++v) {
      lanes[v] += term(load(x + d + v * kWidth), load(y + d + v * kWidth));
    }
  }
  if (d < dim) {
    // Lanes without a last element add 0, which leaves a sum of squares as it is.
    Real x_end[kSumLanes] = {}, y_end[kSumLanes] = {};
    __builtin_memcpy(x_end, x + d, (dim - d) * sizeof(Real));
    __builtin_memcpy(y_end, y + d, (dim - d) * sizeof(Real));
    double terms[kSumLanes];
#pragma GCC unroll 16
    for (int64_t v = 0; v < kVectors; ++v) {
      store(terms + v * kWidth, term(load(x_end + v * kWidth), load(y_end + v * kWidth)));
    }
    for (int64_t l = dim - d; l < kSumLanes; ++l) terms[l] = 0;
#pragma GCC unroll 16
    for (int64_t v = 0; v < kVectors; ++v) lanes[v] += load(terms + v * kWidth);
  }
#pragma GCC unroll 16
  for (int64_t step = kVectors / 2; step > 0; step /= 2) {
#pragma GCC unroll 16
    for (int64_t v = 0; v < step; ++v) lanes[v] += lanes[v + step];
  }
  double last[kWidth];
  store(last, lanes[0]);
#pragma GCC unroll 16
  for (int64_t step = kWidth / 2; step > 0; step /= 2) {
#pragma GCC unroll 16
    for (int64_t l = 0; l < step; ++l) last[l] += last[l + step];
  }
  return last[0];
}

struct SquareTerm {
  Doubles operator()(Doubles x, Doubles) const { return x * x; }
};

struct DifferenceTerm {
  Doubles operator()(Doubles x, Doubles y) const { return (x - y) * (x - y); }
};

struct ShiftedTerm {
  double shift;
  Doubles operator()(Doubles x, Doubles y) const {
    const Doubles difference = x - y + shift;
    return difference * difference;
  }
};

struct DirectionTerm {
  double x_inverse, y_inverse;
  Doubles operator()(Doubles x, Doubles y) const {
    const Doubles difference = x * x_inverse - y * y_inverse;
    return difference * difference;
  }
};

template <typename Real>
double square_sum(const Real* x, int64_t dim) {
  return canonical_row_sum(x, x, dim, SquareTerm{});
}

template <typename Real>
double difference_sum(const Real* x, const Real* y, int64_t dim) {
  return canonical_row_sum(x, y, dim, DifferenceTerm{});
}

template <typename Real>
double shifted_sum(const Real* x, const Real* y, double shift, int64_t dim) {
  return canonical_row_sum(x, y, dim, ShiftedTerm{shift});
}

template <typename Real>
double direction_sum(const Real* x, double x_inverse, const Real* y, double y_inverse,
                     int64_t dim) {
  return canonical_row_sum(x, y, dim, DirectionTerm{x_inverse, y_inverse});
}

template <typename Real>
void add_difference(double* __restrict grad, double weight, const Real* x, const Real* y,
                    double shift, int64_t dim) {
  int64_t d = 0;
  for (; d + kWidth <= dim; d += kWidth) {
    store(grad + d, load(grad + d) + weight * (load(x + d) - load(y + d) + shift));
  }
  for (; d < dim; ++d) {
    grad[d] += weight * (static_cast<double>(x[d]) - static_cast<double>(y[d]) + shift);
  }
}

template <typename Real>
void add_direction(double* __restrict grad, double weight, double distance, const Real* x,
                   double x_inverse, const Real* y, double y_inverse, int64_t dim) {
  int64_t d = 0;
  for (; d + kWidth <= dim; d += kWidth) {
    const Doubles x_unit = load(x + d) * x_inverse, y_unit = load(y + d) * y_inverse;
    store(grad + d, load(grad + d) + weight * (x_unit - y_unit - distance * x_unit));
  }
  for (; d < dim; ++d) {
    const double x_unit = x[d] * x_inverse, y_unit = y[d] * y_inverse;
    grad[d] += weight * (x_unit - y_unit - distance * x_unit);
  }
}

template <typename Real>
void add_row(double* __restrict sums, const Real* x, double scale, int64_t dim) {
  for (int64_t d = 0; d < dim; ++d) sums[d] += scale * static_cast<double>(x[d]);
}

template <typename Real>
void centre_row(double* __restrict out, const Real* x, double scale, const double* centre,
                double unit, int64_t dim) {
  for (int64_t d = 0; d < dim; ++d) {
    out[d] = (scale * static_cast<double>(x[d]) - centre[d]) * unit;
  }
}

template <typename Real>
constexpr RowKernels<Real> row_kernels() {
  return {square_sum<Real>,     difference_sum<Real>, shifted_sum<Real>, direction_sum<Real>,
          add_difference<Real>, add_direction<Real>,  add_row<Real>,     centre_row<Real>};
}
