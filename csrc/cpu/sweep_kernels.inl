// SPDX-License-Identifier: BSD-3-Clause
//
// Included by triplet_kernels_<isa>.cpp after tile_kernels.inl, under its rules.

template <typename Real>
inline constexpr int64_t kLanesOf = kVectorBytes / sizeof(Real);

template <typename Real>
inline Vector<Real> splat(Real value) {
  return value - Vector<Real>{};
}

inline Vector<float> square_root(Vector<float> x) {
#if FRL_VECTOR_BYTES == 64
  return _mm512_maskz_sqrt_ps(0xffff, x);
#elif FRL_VECTOR_BYTES == 32
  return _mm256_sqrt_ps(x);
#else
  for (int64_t l = 0; l < kLanesOf<float>; ++l) x[l] = __builtin_sqrtf(x[l]);
  return x;
#endif
}

inline Vector<double> square_root(Vector<double> x) {
#if FRL_VECTOR_BYTES == 64
  return _mm512_maskz_sqrt_pd(0xff, x);
#elif FRL_VECTOR_BYTES == 32
  return _mm256_sqrt_pd(x);
#else
  for (int64_t l = 0; l < kLanesOf<double>; ++l) x[l] = __builtin_sqrt(x[l]);
  return x;
#endif
}

// (A mask, all ones, spares older compilers a false warning.)
#if FRL_VECTOR_BYTES == 64
template <int kHalf>
inline __m256 half_of(__m512 x) {
  return _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xf, _mm512_castps_pd(x), kHalf));
}
#endif

template <typename Real>
inline Real lane_sum(Vector<Real> x) {
  Real sum = 0;
  for (int64_t l = 0; l < kLanesOf<Real>; ++l) sum += x[l];
  return sum;
}

#if FRL_VECTOR_BYTES >= 32
inline float lane_sum(__m256 x) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}
#endif
#if FRL_VECTOR_BYTES == 64
template <>
inline float lane_sum<float>(Vector<float> x) {
  return lane_sum(_mm256_add_ps(half_of<0>(x), half_of<1>(x)));
}
#elif FRL_VECTOR_BYTES == 32
template <>
inline float lane_sum<float>(Vector<float> x) {
  return lane_sum(static_cast<__m256>(x));
}
#endif

template <typename Real>
void distances(const Real* dots, Real* tile, const Real* row_norm, const Real* column_norm,
               int distance, Real closeness, uint8_t* row_close) {
  for (int64_t r = 0; r < kTileSize; ++r) {
    Real* row = tile + r * kTileSize;
    Vector<Real> least = splat<Real>(1);
    for (int64_t c = 0; c < kTileSize; c += kLanesOf<Real>) {
      const Vector<Real> norms = row_norm[r] + load_vector(column_norm + c);
      Vector<Real> half = norms - load_vector(dots + r * kTileSize + c);
      const Vector<Real> excess = half - closeness * norms;
      least = excess < least ? excess : least;
      half = half > 0 ? half : Vector<Real>{};
      if (distance == 0) half = square_root(half + half);
      if (distance == 1) half = half + half;
      store_vector<Real>(row + c, half);
    }
    bool close = false;
    for (int64_t l = 0; l < kLanesOf<Real>; ++l) close |= least[l] < 0;
    row_close[r] = close;
  }
}

// e^x for x <= 0: 2^k * e^r with |r| <= ln(2) / 2, by its Taylor series.
template <typename Real>
inline Vector<Real> exponential(Vector<Real> x) {
  constexpr bool kWide = sizeof(Real) == 8;
  using Bits = std::conditional_t<kWide, int64_t, int32_t>;
  typedef Bits BitsVector __attribute__((vector_size(kVectorBytes)));
  constexpr Real kLowest = kWide ? -708 : -87;
  x = x > kLowest ? x : splat<Real>(kLowest);
  // Adding 1.5 * 2^digits rounds to an integer, which is then in the low bits.
  constexpr Real kShift = kWide ? 0x1.8p52 : 0x1.8p23;
  const Vector<Real> shifted = x * Real(0x1.71547652b82fep+0) + kShift;
  const Vector<Real> k = shifted - kShift;
  constexpr Real kHigh = kWide ? 0x1.62e42fefa0000p-1 : 0x1.62e400p-1;
  constexpr Real kLow = kWide ? 0x1.cf79abc9e3b3ap-40 : 0x1.7f7d1cp-20;
  const Vector<Real> r = x - k * kHigh - k * kLow;
  constexpr int kDegree = kWide ? 13 : 7;
  Real factorial = 1;
  Vector<Real> sum = splat<Real>(0);
  Real inverse[kDegree + 1];
  for (int n = 0; n <= kDegree; ++n) {
    inverse[n] = 1 / factorial;
    factorial *= n + 1;
  }
  for (int n = kDegree; n >= 0; --n) sum = fused(sum, r, splat<Real>(inverse[n]));
  constexpr int kMantissa = kWide ? 52 : 23;
  BitsVector power, bits;
  __builtin_memcpy(&power, &shifted, sizeof(power));
  __builtin_memcpy(&bits, &sum, sizeof(bits));
  bits += power << kMantissa;
  __builtin_memcpy(&sum, &bits, sizeof(bits));
  return sum;
}

// ln(1 + x) for 0 <= x <= 1: 2 artanh(x / (2 + x)), whose series ends soon as the square of that
// is at most 1 / 9.
template <typename Real>
inline Vector<Real> logarithm(Vector<Real> x) {
  constexpr int kTerms = sizeof(Real) == 8 ? 17 : 8;
  const Vector<Real> s = x / (2 + x), square = s * s;
  Vector<Real> sum = splat<Real>(0);
  for (int n = kTerms; n >= 0; --n) sum = fused(sum, square, splat<Real>(Real(1) / (2 * n + 1)));
  return 2 * s * sum;
}

// Terms and slopes of a vector of gaps.
template <typename Real>
struct TermVectors {
  Vector<Real> value, slope, nonzero;
};

// With kKink, `boundary` is the slope of gaps that are exactly 0.
template <typename Real, bool kKink>
struct HingeVectors {
  Real boundary;
  TermVectors<Real> operator()(Vector<Real> gap) const {
    const Vector<Real> zero = {};
    const Vector<Real> active = gap > 0 ? splat<Real>(1) : zero;
    Vector<Real> slope = active;
    if constexpr (kKink) slope += gap == 0 ? splat<Real>(boundary) : zero;
    return {gap > 0 ? gap : zero, slope, active};
  }
};

template <typename Real>
struct SoftplusVectors {
  Real inverse_unit;
  TermVectors<Real> operator()(Vector<Real> gap) const {
    const Vector<Real> zero = {}, one = splat<Real>(1);
    gap *= inverse_unit;
    const Vector<Real> decay = exponential<Real>(gap < 0 ? gap : -gap);
    Vector<Real> value = (gap > 0 ? gap : zero) + logarithm<Real>(decay);
    Vector<Real> slope = (gap < 0 ? decay : one) / (1 + decay);
    // Infinitely far references, and thresholds that are not there.
    const auto absent = gap < std::numeric_limits<Real>::lowest();
    value = absent ? zero : value;
    slope = absent ? zero : slope;
    return {value, slope, value > 0 ? one : zero};
  }
};

template <typename Real, typename Term>
inline void sum_rows_of(const Real* distances, const SweepTerms<Real>& terms, const SweepSums& sums,
                        const Term& term) {
  for (int64_t r = 0; r < kTileSize; ++r) {
    const Real* row = distances + r * kTileSize;
    Vector<Real> value = {}, slope = {}, nonzero = {};
    for (int64_t k = 0; k < terms.num_thresholds; ++k) {
      const Real threshold = terms.thresholds[k * kTileSize + r];
      for (int64_t c = 0; c < kTileSize; c += kLanesOf<Real>) {
        const TermVectors<Real> here = term(threshold - load_vector(row + c));
        value += here.value;
        slope += here.slope;
        nonzero += here.nonzero;
      }
    }
    sums.value[r] += lane_sum<Real>(value);
    sums.slope[r] += lane_sum<Real>(slope);
    sums.nonzero[r] += lane_sum<Real>(nonzero);
  }
}

template <typename Real, typename Term>
inline void sum_columns_of(const Real* distances, const SweepTerms<Real>& terms,
                           const SweepSums& sums, const Term& term) {
  for (int64_t c = 0; c < kTileSize; c += kLanesOf<Real>) {
    Vector<Real> value = {}, slope = {}, nonzero = {};
    for (int64_t k = 0; k < terms.num_thresholds; ++k) {
      const Vector<Real> threshold = load_vector(terms.thresholds + k * kTileSize + c);
      for (int64_t r = 0; r < kTileSize; ++r) {
        const TermVectors<Real> here = term(threshold - load_vector(distances + r * kTileSize + c));
        value += here.value;
        slope += here.slope;
        nonzero += here.nonzero;
      }
    }
    for (int64_t l = 0; l < kLanesOf<Real>; ++l) {
      sums.value[c + l] += value[l];
      sums.slope[c + l] += slope[l];
      sums.nonzero[c + l] += nonzero[l];
    }
  }
}

// Thresholds whose sums stay in registers while a tile is weighed.
inline constexpr int64_t kThresholdsEach = 4;

// Calls `body.template operator()<count>(first)` for all thresholds, in groups of that many.
template <typename Body>
inline void for_thresholds(int64_t num_thresholds, const Body& body) {
  int64_t first = 0;
  for (; first + kThresholdsEach <= num_thresholds; first += kThresholdsEach) {
    body.template operator()<kThresholdsEach>(first);
  }
  switch (num_thresholds - first) {
    case 3:
      return body.template operator()<3>(first);
    case 2:
      return body.template operator()<2>(first);
    case 1:
      return body.template operator()<1>(first);
    default:
      return;
  }
}

template <typename Real, typename Term>
inline void weigh_rows_of(const Real* distances, const SweepWeights<Real>& to,
                          const SweepTerms<Real>& terms, const Term& term) {
  if (terms.num_thresholds == 0) {
    for (int64_t t = 0; t < kTileSize * kTileSize; ++t) to.weights[t] = 0;
    return;
  }
  for_thresholds(terms.num_thresholds, [&]<int64_t kCount>(int64_t first) {
    const Real* thresholds = terms.thresholds + first * kTileSize;
    for (int64_t r = 0; r < kTileSize; ++r) {
      Vector<Real> slopes[kCount] = {};
      for (int64_t c = 0; c < kTileSize; c += kLanesOf<Real>) {
        const Vector<Real> distance = load_vector(distances + r * kTileSize + c);
        Vector<Real> sum = {};
#pragma GCC unroll 4
        for (int64_t k = 0; k < kCount; ++k) {
          const Vector<Real> slope = term(thresholds[k * kTileSize + r] - distance).slope;
          slopes[k] += slope;
          sum += slope;
        }
        Real* weights = to.weights + r * kTileSize + c;
        sum *= to.scale[r];
        store_vector<Real>(weights, first > 0 ? load_vector(weights) + sum : sum);
      }
      if (to.slopes == nullptr) continue;
#pragma GCC unroll 4
      for (int64_t k = 0; k < kCount; ++k) {
        to.slopes[(first + k) * kTileSize + r] += lane_sum<Real>(slopes[k]);
      }
    }
  });
}

template <typename Real, typename Term>
inline void weigh_columns_of(const Real* distances, const SweepWeights<Real>& to,
                             const SweepTerms<Real>& terms, const Term& term) {
  for_thresholds(terms.num_thresholds, [&]<int64_t kCount>(int64_t first) {
    for (int64_t c = 0; c < kTileSize; c += kLanesOf<Real>) {
      Vector<Real> thresholds[kCount], slopes[kCount] = {};
#pragma GCC unroll 4
      for (int64_t k = 0; k < kCount; ++k) {
        thresholds[k] = load_vector(terms.thresholds + (first + k) * kTileSize + c);
      }
      for (int64_t r = 0; r < kTileSize; ++r) {
        const Vector<Real> distance = load_vector(distances + r * kTileSize + c);
        Vector<Real> sum = {};
#pragma GCC unroll 4
        for (int64_t k = 0; k < kCount; ++k) {
          const Vector<Real> slope = term(thresholds[k] - distance).slope;
          slopes[k] += slope;
          sum += slope;
        }
        Real* weights = to.weights + r * kTileSize + c;
        store_vector<Real>(weights, load_vector(weights) + load_vector(to.scale + c) * sum);
      }
      if (to.slopes == nullptr) continue;
      for (int64_t k = 0; k < kCount; ++k) {
        for (int64_t l = 0; l < kLanesOf<Real>; ++l) {
          to.slopes[(first + k) * kTileSize + c + l] += slopes[k][l];
        }
      }
    }
  });
}

// Calls `body` with the vectors of the loss.
template <typename Real, typename Body>
inline void with_term(const SweepTerms<Real>& terms, const Body& body) {
  if (terms.soft) {
    body(SoftplusVectors<Real>{terms.inverse_unit});
  } else if (terms.boundary != 0) {
    body(HingeVectors<Real, true>{terms.boundary});
  } else {
    body(HingeVectors<Real, false>{0});
  }
}

template <typename Real>
void sum_rows(const Real* distances, const SweepTerms<Real>& terms, const SweepSums& sums) {
  with_term(terms, [&](const auto& term) { sum_rows_of(distances, terms, sums, term); });
}

template <typename Real>
void sum_columns(const Real* distances, const SweepTerms<Real>& terms, const SweepSums& sums) {
  with_term(terms, [&](const auto& term) { sum_columns_of(distances, terms, sums, term); });
}

template <typename Real>
void weigh_rows(const Real* distances, const SweepTerms<Real>& terms,
                const SweepWeights<Real>& to) {
  with_term(terms, [&](const auto& term) { weigh_rows_of(distances, to, terms, term); });
}

template <typename Real>
void weigh_columns(const Real* distances, const SweepTerms<Real>& terms,
                   const SweepWeights<Real>& to) {
  with_term(terms, [&](const auto& term) { weigh_columns_of(distances, to, terms, term); });
}

template <typename Real>
void divide(Real* weights, const Real* distances) {
  for (int64_t t = 0; t < kTileSize * kTileSize; t += kLanesOf<Real>) {
    const Vector<Real> distance = load_vector(distances + t);
    const Vector<Real> quotient = load_vector(weights + t) / distance;
    store_vector<Real>(weights + t, distance > 0 ? quotient : Vector<Real>{});
  }
}

template <typename Real>
void add_weights(const Real* weights, double* rows, double* columns) {
  if (rows) {
    for (int64_t r = 0; r < kTileSize; ++r) {
      Vector<Real> sum = {};
      for (int64_t c = 0; c < kTileSize; c += kLanesOf<Real>) {
        sum += load_vector(weights + r * kTileSize + c);
      }
      rows[r] += lane_sum<Real>(sum);
    }
  }
  if (columns == nullptr) return;
  for (int64_t c = 0; c < kTileSize; c += kLanesOf<Real>) {
    Vector<Real> sum = {};
    for (int64_t r = 0; r < kTileSize; ++r) sum += load_vector(weights + r * kTileSize + c);
    for (int64_t l = 0; l < kLanesOf<Real>; ++l) columns[c + l] += sum[l];
  }
}

template <typename Real>
void flush(Real* __restrict sums, Real* __restrict recent, int64_t size) {
  for (int64_t t = 0; t < size; ++t) {
    sums[t] += recent[t];
    recent[t] = 0;
  }
}

template <typename Real>
constexpr SweepKernels<Real> sweep_kernels() {
  return {distances<Real>,     sum_rows<Real>, sum_columns<Real>, weigh_rows<Real>,
          weigh_columns<Real>, divide<Real>,   add_weights<Real>, flush<Real>};
}
