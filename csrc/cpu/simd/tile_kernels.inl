// SPDX-License-Identifier: BSD-3-Clause
//
// Part of all_loops.inl, after row_kernels.inl and under its rules: products of
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

// Accumulators in registers: kMicroRows x 3 vectors, of 32 or 16 registers. Where the width of the
// result is not ours to choose, two vectors waste less of it.
inline constexpr int64_t kMicroRows = FRL_VECTOR_BYTES == 64 ? 8 : 4;
inline constexpr int64_t kMicroVectors = 3;
inline constexpr int64_t kWideVectors = 2;

// out[r, c] (+)= sum_k a(k, r) * b[k * b_stride + c], for kMicroRows rows and kCount vectors
// of columns; a(k, r) is a[k * a_stride + r] or, by rows, a[r * a_stride + k].
template <int64_t kCount, bool kByRows, typename Real>
inline void micro_product(const Real* a, int64_t a_stride, const Real* b, int64_t b_stride,
                          int64_t depth, Real* out, int64_t out_stride, bool add) {
  constexpr int64_t kLanes = kVectorBytes / sizeof(Real);
  Vector<Real> sums[kMicroRows][kCount] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector<Real> right[kCount];
#pragma GCC unroll 8
    for (int64_t v = 0; v < kCount; ++v) right[v] = load_vector(b + v * kLanes);
#pragma GCC unroll 8
    for (int64_t r = 0; r < kMicroRows; ++r) {
      const Vector<Real> left = a[kByRows ? r * a_stride : r] - Vector<Real>{};
#pragma GCC unroll 8
      for (int64_t v = 0; v < kCount; ++v) sums[r][v] = fused(left, right[v], sums[r][v]);
    }
    a += kByRows ? 1 : a_stride;
    b += b_stride;
  }
#pragma GCC unroll 8
  for (int64_t r = 0; r < kMicroRows; ++r) {
#pragma GCC unroll 8
    for (int64_t v = 0; v < kCount; ++v) {
      Real* at = out + r * out_stride + v * kLanes;
      store_vector<Real>(at, add ? load_vector(at) + sums[r][v] : sums[r][v]);
    }
  }
}

// The product of two strips: `rows` x `columns` outputs. The sums of
// kTileDepth products each are added up, which also bounds their rounding errors.
template <int64_t kCount, bool kByRows, typename Real>
void product(const Real* a, int64_t a_stride, const Real* b, int64_t b_stride, int64_t depth,
             int64_t rows, int64_t columns, Real* out, int64_t out_stride, bool add) {
  constexpr int64_t kMicroColumns = kCount * kVectorBytes / sizeof(Real);
  for (int64_t k = 0; k < depth || k == 0; k += kTileDepth) {
    const int64_t part = depth - k < kTileDepth ? depth - k : kTileDepth;
    for (int64_t c = 0; c < columns; c += kMicroColumns) {
      for (int64_t r = 0; r < rows; r += kMicroRows) {
        const Real* left = kByRows ? a + r * a_stride + k : a + k * a_stride + r;
        micro_product<kCount, kByRows>(left, a_stride, b + k * b_stride + c, b_stride, part,
                                       out + r * out_stride + c, out_stride, add || k > 0);
      }
    }
  }
}

template <bool kByRows, typename Real>
void add_tile_product(const Real* tile, const Real* rows, int64_t stride, int64_t width,
                      Real* out) {
  constexpr int64_t kMicroColumns = kWideVectors * kVectorBytes / sizeof(Real);
  static_assert(kWideColumns % kMicroColumns == 0 && kTileSize % kMicroRows == 0);
  product<kWideVectors, kByRows>(tile, kTileSize, rows, stride, kTileSize, kTileSize, width, out,
                                 width, true);
}

template <typename Real>
void block_product(const Real* a, const Real* b, int64_t depth, Real* tile) {
  constexpr int64_t kMicroColumns = kMicroVectors * kVectorBytes / sizeof(Real);
  static_assert(kPanel % kMicroColumns == 0 && kPanel % kMicroRows == 0);
  for (int64_t i = 0; i < kTileSize; i += kPanel) {
    for (int64_t j = 0; j < kTileSize; j += kPanel) {
      product<kMicroVectors, false>(a + i * depth, kPanel, b + j * depth, kPanel, depth, kPanel,
                                    kPanel, tile + i * kTileSize + j, kTileSize, false);
    }
  }
}

template <typename Real>
constexpr TileKernels<Real> tile_kernels() {
  return {block_product<Real>, add_tile_product<true, Real>, add_tile_product<false, Real>};
}
