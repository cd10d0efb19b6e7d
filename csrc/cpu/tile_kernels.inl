// SPDX-License-Identifier: BSD-3-Clause
//
// Included by triplet_kernels_<isa>.cpp after row_kernels.inl, under its rules: products of
// tiles and the first look at their elements. Everything works on vectors of the full width; `Real`
// is float or double.

template <typename Real>
struct VectorOf {
  typedef Real type __attribute__((vector_size(kVectorBytes)));
};
template <typename Real>
using Vector = typename VectorOf<Real>::type;

template <typename Real>
inline Vector<Real> load_vector(const Real* from) {
  Vector<Real> vector;
  __builtin_memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <typename Real>
inline void store_vector(Real* to, Vector<Real> vector) {
  __builtin_memcpy(to, &vector, sizeof(vector));
}

// a * b + c, in one rounding where the processor has such an instruction.
#if FRL_VECTOR_BYTES == 64
inline Vector<float> fused(Vector<float> a, Vector<float> b, Vector<float> c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline Vector<double> fused(Vector<double> a, Vector<double> b, Vector<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
#elif FRL_VECTOR_BYTES == 32
inline Vector<float> fused(Vector<float> a, Vector<float> b, Vector<float> c) {
  return _mm256_fmadd_ps(a, b, c);
}
inline Vector<double> fused(Vector<double> a, Vector<double> b, Vector<double> c) {
  return _mm256_fmadd_pd(a, b, c);
}
#else
template <typename V>
inline V fused(V a, V b, V c) {
  return a * b + c;
}
#endif

// Accumulators in registers: kMicroRows x 3 vectors, of 32 or 16 registers.
inline constexpr int64_t kMicroRows = FRL_VECTOR_BYTES == 64 ? 8 : 4;
inline constexpr int64_t kMicroVectors = 3;

// to[0 .. lanes) = or += a vector, in the type of `to`.
template <typename Real>
inline void put(Real* to, Vector<Real> vector, bool add) {
  store_vector<Real>(to, add ? load_vector(to) + vector : vector);
}

inline void put(double* to, Vector<float> vector, bool add) {
  float lanes[kVectorBytes / sizeof(float)];
  store_vector(lanes, vector);
#pragma GCC unroll 2
  for (int64_t half = 0; half < 2; ++half) {
    const Doubles wide = load(lanes + half * kWidth);
    store(to + half * kWidth, add ? load(to + half * kWidth) + wide : wide);
  }
}

// out[r, c] (+)= sum_k a(k, r) * b[k * b_stride + c], for kMicroRows rows and kMicroVectors vectors
// of columns; a(k, r) is a[k * a_stride + r] or, by rows, a[r * a_stride + k].
template <bool kByRows, typename Real, typename Out>
inline void micro_product(const Real* a, int64_t a_stride, const Real* b, int64_t b_stride,
                          int64_t depth, Out* out, int64_t out_stride, bool add) {
  constexpr int64_t kLanes = kVectorBytes / sizeof(Real);
  Vector<Real> sums[kMicroRows][kMicroVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector<Real> right[kMicroVectors];
#pragma GCC unroll 8
    for (int64_t v = 0; v < kMicroVectors; ++v) right[v] = load_vector(b + v * kLanes);
#pragma GCC unroll 8
    for (int64_t r = 0; r < kMicroRows; ++r) {
      const Vector<Real> left = a[kByRows ? r * a_stride : r] - Vector<Real>{};
#pragma GCC unroll 8
      for (int64_t v = 0; v < kMicroVectors; ++v) sums[r][v] = fused(left, right[v], sums[r][v]);
    }
    a += kByRows ? 1 : a_stride;
    b += b_stride;
  }
#pragma GCC unroll 8
  for (int64_t r = 0; r < kMicroRows; ++r) {
#pragma GCC unroll 8
    for (int64_t v = 0; v < kMicroVectors; ++v) {
      put(out + r * out_stride + v * kLanes, sums[r][v], add);
    }
  }
}

// The product of two strips: `rows` x `columns` outputs, both multiples of kPanel. The sums of
// kTileDepth products each are added up, which also bounds their rounding errors.
template <bool kByRows, typename Real, typename Out>
void product(const Real* a, int64_t a_stride, const Real* b, int64_t b_stride, int64_t depth,
             int64_t rows, int64_t columns, Out* out, int64_t out_stride, bool add) {
  constexpr int64_t kMicroColumns = kMicroVectors * kVectorBytes / sizeof(Real);
  static_assert(kPanel % kMicroColumns == 0 && kPanel % kMicroRows == 0);
  for (int64_t k = 0; k < depth || k == 0; k += kTileDepth) {
    const int64_t part = depth - k < kTileDepth ? depth - k : kTileDepth;
    for (int64_t c = 0; c < columns; c += kMicroColumns) {
      for (int64_t r = 0; r < rows; r += kMicroRows) {
        const Real* left = kByRows ? a + r * a_stride + k : a + k * a_stride + r;
        micro_product<kByRows>(left, a_stride, b + k * b_stride + c, b_stride, part,
                               out + r * out_stride + c, out_stride, add || k > 0);
      }
    }
  }
}

template <bool kByRows, typename Real>
void add_tile_product(const Real* tile, const Real* rows, int64_t width, double* out) {
  product<kByRows>(tile, kTileSize, rows, width, kTileSize, kTileSize, width, out, width, true);
}

template <typename Real>
void block_product(const Real* a, const Real* b, int64_t depth, Real* tile) {
  for (int64_t i = 0; i < kTileSize; i += kPanel) {
    for (int64_t j = 0; j < kTileSize; j += kPanel) {
      product<false>(a + i * depth, kPanel, b + j * depth, kPanel, depth, kPanel, kPanel,
                     tile + i * kTileSize + j, kTileSize, false);
    }
  }
}

template <typename Real>
constexpr TileKernels<Real> tile_kernels() {
  return {block_product<Real>, add_tile_product<true, Real>, add_tile_product<false, Real>};
}
