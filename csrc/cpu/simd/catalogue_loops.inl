// SPDX-License-Identifier: BSD-3-Clause
//
// Part of all_loops.inl, under its rules.

inline constexpr int64_t kLanes = 16;

// The sum in fixed lanes, which are added in a fixed order. Of an array: compilers vectorise loops
// that each do one thing.
template <typename Real>
inline double lane_sum(const Real* terms, int64_t size) {
  Real lanes[kLanes] = {};
  const int64_t whole = size - size % kLanes;
  for (int64_t t = 0; t < whole; t += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += terms[t + lane];
  }
  for (int64_t t = whole; t < size; ++t) lanes[t - whole] += terms[t];
  double sum = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

template <typename Real>
void add(Real* __restrict row, const Real* __restrict bias, int64_t size) {
  for (int64_t t = 0; t < size; ++t) row[t] += bias[t];
}

template <typename Real>
void multiply(Real* row, double factor, int64_t size) {
  for (int64_t t = 0; t < size; ++t) row[t] = static_cast<Real>(factor * row[t]);
}

template <typename Real>
ScoreSummary<Real> summarize(const Real* row, int64_t size) {
  using Count = std::conditional_t<std::is_same_v<Real, float>, int32_t, int64_t>;
  constexpr Real kMost = std::numeric_limits<Real>::infinity();
  Real low[kLanes], high[kLanes];
  Count nans[kLanes];
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    low[lane] = kMost;
    high[lane] = -kMost;
    nans[lane] = 0;
  }
  const auto see = [&](Real value, int64_t lane) {
    low[lane] = value < low[lane] ? value : low[lane];
    high[lane] = value > high[lane] ? value : high[lane];
    nans[lane] += value != value;
  };
  const int64_t whole = size - size % kLanes;
  for (int64_t t = 0; t < whole; t += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) see(row[t + lane], lane);
  }
  for (int64_t t = whole; t < size; ++t) see(row[t], t - whole);
  ScoreSummary<Real> summary{0, kMost, -kMost};
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    summary.nans += nans[lane];
    summary.lowest = low[lane] < summary.lowest ? low[lane] : summary.lowest;
    summary.highest = high[lane] > summary.highest ? high[lane] : summary.highest;
  }
  return summary;
}

template <typename Real>
void compare_all(const Real* __restrict reaches, int64_t size,
                 const SortedPositives<Real>& positives, int32_t* __restrict places) {
  for (int64_t t = 0; t < size; ++t) places[t] = 0;
  const Real* p = positives.scores;
  // Beyond the last positive there are NaN, which violate nothing.
  for (int64_t i = 0; i < positives.size; i += 4) {
    const Real p0 = p[i], p1 = p[i + 1], p2 = p[i + 2], p3 = p[i + 3];
    for (int64_t t = 0; t < size; ++t) {
      const int32_t v0 = p0 <= reaches[t], v1 = p1 <= reaches[t];
      const int32_t v2 = p2 <= reaches[t], v3 = p3 <= reaches[t];
      places[t] += (v0 + v1) + (v2 + v3);
    }
  }
}

// In lockstep: without branches, and with independent loads.
template <typename Real>
void search_all(const Real* __restrict reaches, int64_t size,
                const SortedPositives<Real>& positives, int32_t* __restrict places) {
  for (int64_t t = 0; t < size; ++t) places[t] = 0;
  Real middle[kCatalogueChunk];
  for (int32_t half = int32_t{1} << (positives.steps - 1); half > 0; half >>= 1) {
    const Real* sorted = positives.scores + half - 1;
    for (int64_t t = 0; t < size; ++t) middle[t] = sorted[places[t]];
    for (int64_t t = 0; t < size; ++t) places[t] += middle[t] <= reaches[t] ? half : 0;
  }
}

template <typename Real>
void find_places(const Real* scores, int64_t size, double margin, bool inclusive,
                 const SortedPositives<Real>& positives, int32_t* places) {
  Real reaches[kCatalogueChunk];
  for (int64_t t = 0; t < size; ++t) reaches[t] = reach(scores[t], margin, inclusive);
  if (positives.size <= SortedPositives<Real>::kDirect) {
    compare_all(reaches, size, positives, places);
  } else {
    search_all(reaches, size, positives, places);
  }
}

template <typename Real>
double weigh_equally(const Real* __restrict scores, int64_t size, double centre, double margin,
                     const int32_t* __restrict places, Real* __restrict slopes) {
  double counts[kCatalogueChunk], terms[kCatalogueChunk];
  for (int64_t t = 0; t < size; ++t) slopes[t] = static_cast<Real>(places[t]);
  for (int64_t t = 0; t < size; ++t) counts[t] = places[t];
  for (int64_t t = 0; t < size; ++t) terms[t] = counts[t] * ((scores[t] - centre) + margin);
  // An array of its own: as a part of the product's loop it would become a branch.
  for (int64_t t = 0; t < size; ++t) terms[t] = counts[t] > 0 ? terms[t] : 0.0;
  return lane_sum(terms, size);
}

template <typename Real>
double weigh(const Real* __restrict scores, int64_t size, double centre, double margin,
             const int32_t* __restrict places, const double* __restrict weights, bool add,
             Real* __restrict slopes) {
  double weight[kCatalogueChunk];
  for (int64_t t = 0; t < size; ++t) weight[t] = weights[places[t]];
  if (add) {
    for (int64_t t = 0; t < size; ++t) slopes[t] += static_cast<Real>(weight[t]);
  } else {
    for (int64_t t = 0; t < size; ++t) slopes[t] = static_cast<Real>(weight[t]);
  }
  double terms[kCatalogueChunk];
  for (int64_t t = 0; t < size; ++t) terms[t] = weight[t] * ((scores[t] - centre) + margin);
  for (int64_t t = 0; t < size; ++t) terms[t] = weight[t] > 0 ? terms[t] : 0.0;
  return lane_sum(terms, size);
}

template <typename Real>
double square(const Real* __restrict scores, int64_t size, double centre, double margin,
              const int32_t* __restrict places, const double* __restrict means,
              Real* __restrict slopes) {
  double gap[kCatalogueChunk];
  for (int64_t t = 0; t < size; ++t) gap[t] = means[places[t]];
  for (int64_t t = 0; t < size; ++t) {
    const double distance = ((scores[t] - centre) + margin) - gap[t];
    gap[t] = places[t] > 0 ? distance : 0.0;
  }
  for (int64_t t = 0; t < size; ++t) slopes[t] = static_cast<Real>(2 * (places[t] * gap[t]));
  for (int64_t t = 0; t < size; ++t) gap[t] = places[t] * gap[t] * gap[t];
  return lane_sum(gap, size);
}

template <typename Real>
double logistic(const LogisticGroup<Real>& group, const Real* __restrict scores, int64_t size,
                Real* __restrict slopes) {
  using Group = LogisticGroup<Real>;
  constexpr int kDegree = Group::kWide ? 13 : 8, kLogTerms = Group::kWide ? 10 : 6;
  // So few that a sum of Real in lanes is as good as its terms.
  constexpr int64_t kPart = 128;
  const double top = group.top, sigma = group.sigma, members = static_cast<double>(group.members);
  const double scale = 1 / exp_of_negative<13>(Group::kLinear);
  double value = 0;
  for (int64_t begin = 0; begin < size; begin += kPart) {
    const int64_t part = size - begin < kPart ? size - begin : kPart;
    const Real* s = scores + begin;
    Real* slope = slopes + begin;
    double wide[kPart], rest[kPart], growth[kPart];
    Real narrow[kPart];
    for (int64_t t = 0; t < part; ++t) {
      const double z = sigma * (s[t] - top);
      const double beyond = z - Group::kLinear;
      const double e = exp_of_negative<kDegree>(beyond < 0 ? -beyond : 0) * scale;
      wide[t] = s[t] == s[t] ? e : 0.0;
      rest[t] = beyond > 0 ? beyond * members : 0.0;
      growth[t] = 0;
    }
    for (int64_t t = part; t < kPart; ++t) wide[t] = rest[t] = growth[t] = 0;
    for (int64_t t = 0; t < kPart; ++t) narrow[t] = static_cast<Real>(wide[t]);
    Real sums[kPart] = {};
    for (int64_t i = 0; i < group.size; i += 2) {
      const Real f0 = group.factors[i], f1 = group.factors[i + 1];
      Real share0[kPart], share1[kPart];
      for (int64_t t = 0; t < kPart; ++t) {
        // With y = exp(sigma (s_j - s_i)): one division for two sigmoids y / (1 + y).
        const Real y0 = narrow[t] * f0, y1 = narrow[t] * f1;
        const Real a = 1 + y0, b = 1 + y1, inverse = 1 / (a * b);
        share0[t] = y0 * b * inverse;
        share1[t] = y1 * a * inverse;
      }
      for (int64_t t = 0; t < kPart; ++t) sums[t] += share0[t] + share1[t];
      group.slopes[i] += lane_sum(share0, kPart);
      group.slopes[i + 1] += lane_sum(share1, kPart);
      // growth becomes the product of all 1 + y, less 1; no term is negative.
      for (int64_t t = 0; t < kPart; ++t) {
        const double y0 = wide[t] * f0, y1 = wide[t] * f1;
        const double both = (y0 + y1) + y0 * y1;
        growth[t] += both * (1 + growth[t]);
      }
    }
    for (int64_t t = 0; t < part; ++t) slope[t] += sums[t];
    for (int64_t t = 0; t < kPart; ++t) {
      // log(1 + growth), exact too where 1 + growth is rounded.
      const double sum = 1 + growth[t], seen = sum - 1;
      const double corrected =
          log_of_positive<kLogTerms>(sum) * (growth[t] / (seen > 0 ? seen : 1.0));
      rest[t] += seen > 0 ? corrected : growth[t];
    }
    value += lane_sum(rest, kPart);
  }
  return value;
}

template <typename Real>
ExponentialSums exponentials(Real* __restrict scores, int64_t size, double top,
                             double inverse_temperature) {
  constexpr int kDegree = std::is_same_v<Real, double> ? 13 : 8;
  double value[kCatalogueChunk], gaps[kCatalogueChunk];
  for (int64_t t = 0; t < size; ++t) {
    const double gap = inverse_temperature * (top - scores[t]);
    gaps[t] = gap < 708 ? gap : 708.0;  // of NaN, too
    const double e = exp_of_negative<kDegree>(gaps[t]);
    value[t] = scores[t] == scores[t] ? e : 0.0;
  }
  for (int64_t t = 0; t < size; ++t) scores[t] = static_cast<Real>(value[t]);
  const double sum = lane_sum(value, size);
  for (int64_t t = 0; t < size; ++t) gaps[t] *= value[t];
  return {sum, lane_sum(gaps, size)};
}

template <typename Real>
constexpr CatalogueLoopsOf<Real> loops_of() {
  return {add<Real>,    summarize<Real>, find_places<Real>,  weigh_equally<Real>, weigh<Real>,
          square<Real>, logistic<Real>,  exponentials<Real>, multiply<Real>};
}
