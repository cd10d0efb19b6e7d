// SPDX-License-Identifier: BSD-3-Clause
//
// Part of all_loops.inl, after tile_kernels.inl and under its rules.

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

// Terms and slopes of a vector of gaps. Where slopes are 1 for terms above 0 and else 0, they are
// counts already (kSlopesCount).
template <typename Real>
struct TermVectors {
  Vector<Real> value, slope, nonzero;
};

// With kKink, `boundary` is the slope of gaps that are exactly 0.
template <typename Real, bool kKink>
struct HingeVectors {
  static constexpr bool kSlopesCount = !kKink;
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
  static constexpr bool kSlopesCount = false;
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

// Thresholds whose sums stay in registers while a tile is visited.
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

// What is wanted of a tile: sums of terms, weights, or both. Terms are added up in the same order
// in every case.
enum class Want { kSums, kWeights, kBoth };

template <typename Real, Want kWant, typename Term>
inline void visit_rows_of(const Real* distances, const SweepTerms<Real>& terms,
                          const SweepResults<Real>& to, const Term& term) {
  constexpr bool kSums = kWant != Want::kWeights, kWeights = kWant != Want::kSums;
  if (kWeights && terms.num_thresholds == 0) {
    for (int64_t t = 0; t < kTileSize * kTileSize; ++t) to.weights[t] = 0;
  }
  for_thresholds(terms.num_thresholds, [&]<int64_t kCount>(int64_t first) {
    for (int64_t r = 0; r < kTileSize; ++r) {
      Vector<Real> thresholds[kCount], slopes[kCount] = {}, value = {}, nonzero = {};
#pragma GCC unroll 4
      for (int64_t k = 0; k < kCount; ++k) {
        thresholds[k] = splat<Real>(terms.thresholds[(first + k) * kTileSize + r]);
      }
      for (int64_t c = 0; c < kTileSize; c += kLanesOf<Real>) {
        const Vector<Real> distance = load_vector(distances + r * kTileSize + c);
        Vector<Real> sum = {};
#pragma GCC unroll 4
        for (int64_t k = 0; k < kCount; ++k) {
          const TermVectors<Real> here = term(thresholds[k] - distance);
          slopes[k] += here.slope;
          if constexpr (kWeights) sum += here.slope;
          if constexpr (kSums) value += here.value;
          if constexpr (kSums && !Term::kSlopesCount) nonzero += here.nonzero;
        }
        if constexpr (kWeights) {
          Real* weights = to.weights + r * kTileSize + c;
          sum *= to.scale[r];
          store_vector<Real>(weights, first > 0 ? load_vector(weights) + sum : sum);
        }
      }
      Real count = lane_sum<Real>(nonzero);
#pragma GCC unroll 4
      for (int64_t k = 0; k < kCount; ++k) {
        const Real slope = lane_sum<Real>(slopes[k]);
        if (to.slopes) to.slopes[(first + k) * kTileSize + r] += slope;
        if constexpr (Term::kSlopesCount) count += slope;
      }
      if constexpr (kSums) {
        to.value[r] += lane_sum<Real>(value);
        to.nonzero[r] += count;
      }
    }
  });
}

template <typename Real, Want kWant, typename Term>
inline void visit_columns_of(const Real* distances, const SweepTerms<Real>& terms,
                             const SweepResults<Real>& to, const Term& term) {
  constexpr bool kSums = kWant != Want::kWeights, kWeights = kWant != Want::kSums;
  for_thresholds(terms.num_thresholds, [&]<int64_t kCount>(int64_t first) {
    for (int64_t c = 0; c < kTileSize; c += kLanesOf<Real>) {
      Vector<Real> thresholds[kCount], slopes[kCount] = {}, value = {}, nonzero = {};
#pragma GCC unroll 4
      for (int64_t k = 0; k < kCount; ++k) {
        thresholds[k] = load_vector(terms.thresholds + (first + k) * kTileSize + c);
      }
      for (int64_t r = 0; r < kTileSize; ++r) {
        const Vector<Real> distance = load_vector(distances + r * kTileSize + c);
        Vector<Real> sum = {};
#pragma GCC unroll 4
        for (int64_t k = 0; k < kCount; ++k) {
          const TermVectors<Real> here = term(thresholds[k] - distance);
          slopes[k] += here.slope;
          if constexpr (kWeights) sum += here.slope;
          if constexpr (kSums) value += here.value;
          if constexpr (kSums && !Term::kSlopesCount) nonzero += here.nonzero;
        }
        if constexpr (kWeights) {
          Real* weights = to.weights + r * kTileSize + c;
          store_vector<Real>(weights, load_vector(weights) + load_vector(to.scale + c) * sum);
        }
      }
#pragma GCC unroll 4
      for (int64_t k = 0; k < kCount; ++k) {
        if constexpr (Term::kSlopesCount) nonzero += slopes[k];
        if (to.slopes == nullptr) continue;
        double* sums = to.slopes + (first + k) * kTileSize + c;
        for (int64_t l = 0; l < kLanesOf<Real>; ++l) sums[l] += slopes[k][l];
      }
      if constexpr (kSums) {
        for (int64_t l = 0; l < kLanesOf<Real>; ++l) to.value[c + l] += value[l];
        for (int64_t l = 0; l < kLanesOf<Real>; ++l) to.nonzero[c + l] += nonzero[l];
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

// Calls `body.template operator()<want>()`.
template <typename Real, typename Body>
inline void with_want(const SweepResults<Real>& to, const Body& body) {
  if (to.weights == nullptr) {
    body.template operator()<Want::kSums>();
  } else if (to.value == nullptr) {
    body.template operator()<Want::kWeights>();
  } else {
    body.template operator()<Want::kBoth>();
  }
}

template <typename Real>
void visit_rows(const Real* distances, const SweepTerms<Real>& terms,
                const SweepResults<Real>& to) {
  with_term(terms, [&](const auto& term) {
    with_want(to, [&]<Want kWant>() { visit_rows_of<Real, kWant>(distances, terms, to, term); });
  });
}

template <typename Real>
void visit_columns(const Real* distances, const SweepTerms<Real>& terms,
                   const SweepResults<Real>& to) {
  with_term(terms, [&](const auto& term) {
    with_want(to, [&]<Want kWant>() { visit_columns_of<Real, kWant>(distances, terms, to, term); });
  });
}

template <typename Real>
void finish_weights(Real* weights, const Real* distances, bool divide, double* rows,
                    double* columns) {
  constexpr int64_t kVectors = kTileSize / kLanesOf<Real>;
  Vector<Real> column_sums[kVectors] = {};
  for (int64_t r = 0; r < kTileSize; ++r) {
    Vector<Real> row_sum = {};
    for (int64_t v = 0; v < kVectors; ++v) {
      const int64_t at = r * kTileSize + v * kLanesOf<Real>;
      const Vector<Real> distance = load_vector(distances + at);
      Vector<Real> weight = load_vector(weights + at);
      if (divide) weight /= distance;
      weight = distance > 0 ? weight : Vector<Real>{};
      store_vector<Real>(weights + at, weight);
      row_sum += weight;
      column_sums[v] += weight;
    }
    if (rows) rows[r] += lane_sum<Real>(row_sum);
  }
  if (columns == nullptr) return;
  for (int64_t v = 0; v < kVectors; ++v) {
    for (int64_t l = 0; l < kLanesOf<Real>; ++l) {
      columns[v * kLanesOf<Real> + l] += column_sums[v][l];
    }
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
  return {distances<Real>, visit_rows<Real>, visit_columns<Real>, finish_weights<Real>,
          flush<Real>};
}
