// SPDX-License-Identifier: BSD-3-Clause
//
// Converts the rows of a batch to operands of tensor cores, with error bounds of their products.
//
//   a_i = s (x_i - c), rounded to one fp16 term per element, or to two, hi and lo             (1)
//
// The centre c, near the mean, removes a common offset from norms and products. It is a multiple of
// the power of two of the spread, so that small integers stay integers. The power of two s scales
// the spread to about 2^5: fp16 then has range for a thousand times that, and lo terms for a
// thousandth. For cosine, x_i is the normalised row. A search compares
//
//   e_ij = a_i a_j - |a_i|^2 / 2 - |a_j|^2 / 2 = -s^2 d_ij^2 / 2, up to                       (2)
//
//   bound_i = 4 kappa (h_i + H) + (r_i + R) (sqrt(2 h_i) + sqrt(2 H) + (r_i + R) / 2)         (3)
//
// for all j, with h = |a|^2 / 2, r = |s (x - c) - a|, and H and R the maxima over references and
// anchors. The second term bounds the rounding (1): |d^2 - d'^2| / 2 <= r (d' + r / 2) if the
// points moved by r. The first term bounds the accumulation in fp32. No partial sum exceeds 2 (h_i
// + h_j). An instruction aligns and truncates 16 products and the accumulator, each losing less
// than 2^-23 of the largest. So kappa is 2^-23 (16 + 2) / 2 times the number of instructions, plus
// 2^-21 for rounded norms and for the product of two lo terms, which is left out.
//
// Outlier rows are excluded from the search: rows that are not finite, rows far from all others
// and, for cosine, zero rows. Their h is infinite, so that e is -infinity. Outlier references are
// compared one by one.
//
// Mapping      one warp per row, eight elements per lane at a time; centre: one lane per column
// Memory       reads the rows once, writes 2 or 4 bytes per element, 12 per row
// Numerics     fp64 up to the roundings of (1), which are measured, not estimated
// Determinism  Maxima do not depend on an order. The list of outlier references is in any order,
//              which is irrelevant: its readers reduce with max.
#pragma once

#include <algorithm>
#include <cmath>

#include "cuda/triplet/batch_hard/operand_data.cuh"
#include "cuda/triplet/ordered_batch.cuh"

namespace fused_rankloss::cuda::triplet {

// For 16-bit rows, so that one fp16 term is exact: rows within 2^3 spreads of 0 have centre 0. For
// others, subtracting the centre cancels enough leading bits that the difference is exact in fp16.
inline constexpr int kCoarserCentre = 4;
inline constexpr double kLargestNumber = 65000;  // fits fp16

// ---- Centre -----------------------------------------------------------------

struct CentreParams {
  OrderedBatch ordered;
  double* centre;  // [D]
  SearchFacts* facts;
  int32_t num_samples;   // rows to sample, at least 1
  int32_t warp_samples;  // samples per warp
  int64_t stride;        // between samples
  double sample_share;   // 1 / warp_samples
  int coarser;           // powers of two between the spread and the centre's grid
};

template <typename Stored>
__global__ void __launch_bounds__(kTripletThreads, kAnyBlocks)
    centre_kernel(const __grid_constant__ CentreParams params) {
  __shared__ SharedArray<double, kTripletThreads> partials;
  const OrderedBatch& ordered = params.ordered;
  const int64_t d = int64_t{blockIdx.x} * kWarpSize + lane_index();
  const bool real = d < ordered.batch.dim;
  const int thread = static_cast<int>(threadIdx.x);

  const auto sample = [&](int32_t t) {
    const WarpRow<Stored> row = ordered.ref_row<Stored>(t * params.stride);
    const double x = real ? to_real(row.data[d]) * row.inverse : 0;
    return x - x == 0 ? x : 0;
  };
  // The values of all warps for a column, in ascending order.
  const auto over_warps = [&](double value, double (&sorted)[kTripletWarps]) {
    __syncthreads();  // all threads have read the previous values
    partials.store(thread, value);
    __syncthreads();
#pragma unroll
    for (int warp = 0; warp < kTripletWarps; ++warp) {
      double next = partials.load(warp * kWarpSize + lane_index());
#pragma unroll
      for (int place = 0; place < warp; ++place) {
        const double other = sorted[place];
        sorted[place] = fmin(other, next);
        next = fmax(other, next);
      }
      sorted[warp] = next;
    }
  };
  // The median of the warps' means, which is robust to outlier rows. All warps take the same number
  // of rows, some of them twice.
  const auto over_rows = [&](auto start, auto combine) {
    double total = start;
    for (int32_t t = 0; t < params.warp_samples; ++t) {
      const int32_t row = t * kTripletWarps + warp_index();
      total = combine(total, sample(row < params.num_samples ? row : params.num_samples - 1));
    }
    return total;
  };
  const auto median_mean = [&](auto number) {
    double sorted[kTripletWarps];
    over_warps(
        params.sample_share * over_rows(0.0, [&](double sum, double x) { return sum + number(x); }),
        sorted);
    return sorted[(kTripletWarps - 1) / 2];
  };

  // Relative to the first sample, so that the mean of a column without spread is exactly its value.
  const double origin = sample(0);
  const double mean = origin + median_mean([&](double x) { return x - origin; });
  double spread = median_mean([&](double x) { return fabs(x - mean); });
  double most[kTripletWarps];
  over_warps(over_rows(0.0, [&](double other, double x) { return fmax(other, fabs(x - mean)); }),
             most);
  if (!(spread > 0)) spread = most[kTripletWarps - 1];  // most rows have the same value
  double centre = mean;
  if (spread > 0) {
    const int exponent = ilogb(spread) + params.coarser;
    centre = ldexp(rint(ldexp(mean, -exponent)), exponent);
  }
  if (!(centre - centre == 0)) centre = 0;
  if (warp_index() != 0 || !real) return;
  params.centre[d] = centre;
  if (spread > 0 && spread - spread == 0) {
    atomicMax(&params.facts->exponent,
              static_cast<uint32_t>(ilogb(spread) + SearchFacts::kExponentOffset));
  }
}

// ---- Rows -------------------------------------------------------------------

struct ConvertParams {
  OrderedBatch ordered;
  bool anchors;  // otherwise the references
  const double* centre;
  SearchOperand to;
  int num_slices;
  SearchFacts* facts;
  int32_t* outliers;  // null for anchors that are not references
};

// An fp32 that is at least `value`.
__device__ __forceinline__ float round_up(double value) {
  const float rounded = static_cast<float>(value);
  return rounded * (1 + 0x1p-22f) + 1e-37f;
}

template <typename Stored, int kFp16Terms>
__global__ void __launch_bounds__(kTripletThreads, kAnyBlocks)
    convert_kernel(const __grid_constant__ ConvertParams params) {
  const OrderedBatch& ordered = params.ordered;
  const SearchOperand& to = params.to;
  const int64_t position = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  if (position >= to.padded_rows) return;
  const bool real = position < to.num_rows;
  const int64_t dim = ordered.batch.dim;
  WarpRow<Stored> row{};
  if (real) {
    row = params.anchors ? ordered.anchor_row<Stored>(position) : ordered.ref_row<Stored>(position);
  }
  const double scale = params.facts->scale();

  bool outlier = !real || row.inverse == 0;
  double norm = 0, residual = 0, size = 0;
  Halves8* const cells = to.cells + position * params.num_slices * kSliceCells;
  for (int octet = lane_index(); octet < params.num_slices * kSliceCells / kFp16Terms;
       octet += kWarpSize) {
    Halves8 terms[kFp16Terms] = {};
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      const int64_t d = int64_t{octet} * 8 + e;
      const double x = real && d < dim ? to_real(row.data[d]) * row.inverse : 0;
      double left = d < dim ? (x - params.centre[d]) * scale : 0;
      // The negated comparison includes NaN.
      outlier |= real && !(fabs(left) < kLargestNumber);
      if (!real || !(fabs(left) < kLargestNumber)) left = 0;
      double rounded = 0;
#pragma unroll
      for (int term = 0; term < kFp16Terms; ++term) {
        const Half half = round_to<Half>(left);
        const double part = to_real(half);
        rounded += part;
        left -= part;
        terms[term].pairs[e / 2] |= static_cast<uint32_t>(half.bits) << 16 * (e % 2);
      }
      norm += rounded * rounded;
      residual += left * left;
      size += fabs(x * scale);
    }
    // Two terms: the hi terms are the first half of a K slice, the lo terms the second.
    Halves8* const cell =
        kFp16Terms == 1 ? cells + octet : cells + octet / 2 * kSliceCells + octet % 2;
#pragma unroll
    for (int term = 0; term < kFp16Terms; ++term) cell[term * kSliceCells / 2] = terms[term];
  }
  outlier = __any_sync(kAllLanes, outlier) != 0;
  norm = sum_lanes(norm);
  residual = sqrt(sum_lanes(residual));
  size = sum_lanes(size);
  if (lane_index() != 0) return;
  // The subtraction of the centre is also rounded.
  const float error = outlier ? 0.0f : round_up(residual + size * 0x1p-51);
  const float half_norm = outlier ? INFINITY : static_cast<float>(norm / 2);
  to.half_norms[position] = half_norm;
  to.residuals[position] = error;
  if (outlier) {
    if (real && params.outliers != nullptr) {
      params.outliers[atomicAdd(&params.facts->num_outliers, 1u)] = static_cast<int32_t>(position);
    }
    return;
  }
  atomicMax(&params.facts->half_norm, bit_cast<uint32_t>(half_norm));
  atomicMax(&params.facts->residual, bit_cast<uint32_t>(error));
}

struct BoundsParams {
  SearchOperand operand;
  const SearchFacts* facts;
  int instructions;  // mma instructions per product
};

__global__ void __launch_bounds__(kTripletThreads)
    bounds_kernel(const __grid_constant__ BoundsParams params) {
  const SearchOperand& operand = params.operand;
  const int64_t t = int64_t{blockIdx.x} * kTripletThreads + threadIdx.x;
  if (t >= operand.padded_rows) return;
  const double h = operand.half_norms[t], greatest_h = bit_cast<float>(params.facts->half_norm);
  const double moved = double{operand.residuals[t]} + bit_cast<float>(params.facts->residual);
  const double kappa = 0x1p-23 * (kMmaDepth + 2) / 2 * params.instructions + 0x1p-21;
  const double bound =
      4 * kappa * (h + greatest_h) + moved * (sqrt(2 * h) + sqrt(2 * greatest_h) + moved / 2);
  operand.bounds[t] = h - h == 0 ? round_up(bound) : 0.0f;
}

// ---- Launches ---------------------------------------------------------------

template <class Queue>
SearchOperand new_operand(Queue& queue, int64_t num_rows, int num_slices, int row_multiple) {
  const int64_t padded = ceil_div(num_rows, row_multiple) * row_multiple;
  const auto floats = [&] { return queue.template allocate<float>(padded); };
  return {queue.template allocate<Halves8>(padded * num_slices * kSliceCells),
          floats(),
          floats(),
          floats(),
          num_rows,
          padded};
}

template <class Queue>
void launch_convert(Queue& queue, const ConvertParams& params, int fp16_terms) {
  dispatch_stored(params.ordered.batch.type, [&]<typename Stored>(Stored) {
    const int64_t blocks = ceil_div(params.to.padded_rows, kTripletWarps);
    if (fp16_terms == 2) {
      queue.launch(blocks, kTripletThreads, convert_kernel<Stored, 2>, params);
    } else if constexpr (sizeof(Stored) == 2) {
      queue.launch(blocks, kTripletThreads, convert_kernel<Stored, 1>, params);
    }
  });
}

// Makes the operands of a batch, padded to whole blocks of rows.
template <class Queue>
SearchData prepare_search(Queue& queue, const OrderedBatch& ordered, int row_multiple) {
  const TripletBatch& batch = ordered.batch;
  const bool narrow = batch.type == ScoreType::kHalf || batch.type == ScoreType::kBFloat16;
  // Normalised rows do not fit 16 bits.
  const int fp16_terms = narrow && !ordered.is_cosine() ? 1 : 2;
  const int num_slices = static_cast<int>(ceil_div(batch.dim > 0 ? batch.dim : 1, 32 / fp16_terms));

  SearchFacts* const facts = queue.template allocate<SearchFacts>(1);
  queue.zero(facts, 1);
  double* const centre = queue.template allocate<double>(batch.dim);
  const int64_t num_samples = std::min(batch.num_refs, kCentreRows);
  if (num_samples > 0) {
    const int64_t warp_samples = ceil_div(num_samples, kTripletWarps);
    const CentreParams params{ordered,
                              centre,
                              facts,
                              static_cast<int32_t>(num_samples),
                              static_cast<int32_t>(warp_samples),
                              batch.num_refs / num_samples,
                              1 / static_cast<double>(warp_samples),
                              fp16_terms == 1 ? kCoarserCentre : 0};
    dispatch_stored(batch.type, [&](auto stored) {
      queue.launch(ceil_div(batch.dim, kWarpSize), kTripletThreads, centre_kernel<decltype(stored)>,
                   params);
    });
  }

  int32_t* const outliers = queue.template allocate<int32_t>(batch.num_refs);
  const SearchOperand refs = new_operand(queue, batch.num_refs, num_slices, row_multiple);
  launch_convert(queue, {ordered, false, centre, refs, num_slices, facts, outliers}, fp16_terms);
  SearchOperand anchors = refs;
  if (!batch.self) {
    anchors = new_operand(queue, batch.num_anchors, num_slices, row_multiple);
    launch_convert(queue, {ordered, true, centre, anchors, num_slices, facts, nullptr}, fp16_terms);
  }

  const int instructions = num_slices * (fp16_terms == 2 ? 3 : 2);
  const auto add_bounds = [&](const SearchOperand& operand) {
    queue.launch(ceil_div(operand.padded_rows, kTripletThreads), kTripletThreads, bounds_kernel,
                 BoundsParams{operand, facts, instructions});
  };
  add_bounds(refs);
  if (!batch.self) add_bounds(anchors);
  return {anchors, refs, facts, outliers, num_slices, fp16_terms};
}

}  // namespace fused_rankloss::cuda::triplet
