// SPDX-License-Identifier: BSD-3-Clause
//
// The inner loops over the scores of one query and a whole catalogue. The same source
// (catalogue_loops.inl) is compiled once per instruction set and gives the same bits on each: fixed
// lanes, products and sums rounded separately.
//
// A NaN marks an item that is no negative: it violates nothing, adds 0 and gets slope 0.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/exponential.h"
#include "common/logarithm.h"

namespace fused_rankloss::cpu {

// Items per call of all loops but the first two.
inline constexpr int64_t kCatalogueChunk = 512;

template <typename Real>
struct ScoreSummary {
  int64_t nans;
  Real lowest, highest;  // +inf and -inf where all are NaN
};

// Up to kDirect of them, every score is compared with every positive; more are searched.
template <typename Real>
struct SortedPositives {
  static constexpr int64_t kDirect = 32;

  const Real* scores;  // [size] ascending, then 2^steps NaN
  int64_t size;
  int steps;  // size < 2^steps
};

// Positives whose scores lie close enough for one exponential of a negative to serve them all
// (losses over pairs factor as exp(sigma (s_j - top)) exp(sigma (top - s_i))).
template <typename Real>
struct LogisticGroup {
  static constexpr bool kWide = std::is_same_v<Real, double>;
  // Beyond so much above `top`, a logistic loss is linear to the precision of Real.
  static constexpr double kLinear = kWide ? 40 : 22;
  // What exponents of a product of two, and of all, may reach.
  static constexpr double kPairLimit = kWide ? 700 : 86;
  static constexpr double kLimit = 700;

  double sigma;
  double top;           // the highest of their scores
  int64_t members;      // that there are
  int64_t size;         // even: the last one may be nobody, with factor 0
  const Real* factors;  // [size] exp(sigma (top - s_i))
  double* slopes;       // [size], to which the sigmoids of each are added
};

struct ExponentialSums {
  double sum = 0;     // of exp(-gap)
  double spread = 0;  // of exp(-gap) gap
};

template <typename Real>
struct CatalogueLoopsOf {
  void (*add)(Real* row, const Real* bias, int64_t size);
  ScoreSummary<Real> (*summarize)(const Real* row, int64_t size);

  // places[t] = the number of positives that s_t violates, which are the first ones.
  void (*find_places)(const Real* scores, int64_t size, double margin, bool inclusive,
                      const SortedPositives<Real>& positives, int32_t* places);
  // slopes[t] = places[t]. Returns the sum of places[t] ((s_t - centre) + margin).
  double (*weigh_equally)(const Real* scores, int64_t size, double centre, double margin,
                          const int32_t* places, Real* slopes);
  // slopes[t] = weights[places[t]], added to what is there if `add`. Returns the sum of
  // weights[places[t]] ((s_t - centre) + margin).
  double (*weigh)(const Real* scores, int64_t size, double centre, double margin,
                  const int32_t* places, const double* weights, bool add, Real* slopes);
  // slopes[t] = 2 k x with k = places[t] and x = (s_t - centre) + margin - means[k]. Returns the
  // sum of k x^2.
  double (*square)(const Real* scores, int64_t size, double centre, double margin,
                   const int32_t* places, const double* means, Real* slopes);
  // slopes[t] += sum_i sigmoid(sigma (s_t - s_i)). Returns the sum of the softplus.
  double (*logistic)(const LogisticGroup<Real>& group, const Real* scores, int64_t size,
                     Real* slopes);
  // scores[t] becomes exp(-gap) with gap = inverse_temperature (top - s_t).
  ExponentialSums (*exponentials)(Real* scores, int64_t size, double top,
                                  double inverse_temperature);
  void (*multiply)(Real* row, double factor, int64_t size);
};

struct CatalogueLoops {
  CatalogueLoopsOf<float> floats;
  CatalogueLoopsOf<double> doubles;

  template <typename Real>
  const CatalogueLoopsOf<Real>& of() const {
    if constexpr (std::is_same_v<Real, float>) {
      return floats;
    } else {
      return doubles;
    }
  }
};

// Those of the chosen instruction set (cpu/simd/isa.h).
const CatalogueLoops& catalogue_loops();

}  // namespace fused_rankloss::cpu
