// SPDX-License-Identifier: BSD-3-Clause
//
// Part of all_loops.inl, under its rules. Indices are 64 bits wide: pair_loops.inl says why.

inline constexpr int64_t kLanes = 8;

// Less relevant items that are read repeatedly while they stay in the L1 cache.
inline constexpr int64_t kColumns = 512;

// The sums of one more relevant item over a few columns. Each inner loop does one thing over whole
// vectors: compilers do not vectorise one combined loop. Elements behind the columns are read, but
// count nothing.
template <typename Loss, typename Weight, bool kNormalized>
LambdaSums sum_columns(const LambdaPairs& pairs, int64_t i, int64_t first, int64_t count) {
  constexpr int64_t kChunk = 64;
  const LambdaSide &more = pairs.more, &less = pairs.less;
  const LambdaTermArgs args = pairs.term;
  const double more_score = more.score[i], more_weight = more.weight[i];
  if (more_weight == 0) return {};
  const LambdaItem item{more.gain[i], more.discount[i], more.rank[i]};
  double value_lanes[kLanes] = {}, slope_lanes[kLanes] = {};
  for (int64_t begin = first; begin < first + count; begin += kChunk) {
    const int64_t size = first + count - begin < kChunk ? first + count - begin : kChunk;
    const double* score = less.score + begin;
    const double* gain = less.gain + begin;
    const double* discount = less.discount + begin;
    const double* weight = less.weight + begin;
    const int32_t* rank = less.rank + begin;
    double* __restrict grad = less.grad + begin;
    double values[kChunk], slopes[kChunk], weights[kChunk];
    const int64_t padded = (size + kLanes - 1) & -kLanes;
    for (int64_t t = 0; t < padded; ++t) {
      const LambdaTerm term = Loss::term(more_score, score[t], args);
      values[t] = term.value;
      slopes[t] = term.slope;
    }
    for (int64_t t = 0; t < padded; ++t) {
      double lambda = Weight::of(item, {gain[t], discount[t], rank[t]}, pairs.delta);
      if constexpr (kNormalized) lambda /= 0.01 + fabs(more_score - score[t]);
      weights[t] = lambda * weight[t];
    }
    for (int64_t t = size; t < padded; ++t) values[t] = slopes[t] = weights[t] = 0;
    for (int64_t t = 0; t < padded; ++t) {
      values[t] = weighted(weights[t], values[t]);
      slopes[t] = weighted(weights[t], slopes[t]);
      grad[t] += more_weight * slopes[t];
    }
    for (int64_t t = 0; t < padded; t += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        value_lanes[lane] += values[t + lane];
        slope_lanes[lane] += slopes[t + lane];
      }
    }
  }
  LambdaSums sums;
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    sums.value += value_lanes[lane];
    sums.slope += slope_lanes[lane];
  }
  more.grad[i] -= more_weight * sums.slope;
  return {more_weight * sums.value, more_weight * sums.slope};
}

template <typename Loss, typename Weight, bool kNormalized>
LambdaSums sum_pairs(const LambdaPairs& pairs) {
  LambdaSums total;
  for (int64_t first = 0; first < pairs.less.size; first += kColumns) {
    const int64_t rest = pairs.less.size - first, columns = rest < kColumns ? rest : kColumns;
    for (int64_t i = 0; i < pairs.more.size; ++i) {
      const int64_t own = pairs.counts[i] - first, count = own < columns ? own : columns;
      if (count <= 0) continue;
      const LambdaSums sums = sum_columns<Loss, Weight, kNormalized>(pairs, i, first, count);
      total.value += sums.value;
      total.slope += sums.slope;
    }
  }
  return total;
}

void exponentials(const double* x, int64_t size, double* out) {
  for (int64_t t = 0; t < size; ++t) out[t] = exp_of_negative<13>(x[t]);
}

template <int64_t kScanLanes>
void scan_moments(const ScanBlock& block, const double* /*series*/, ScanState& state) {
  double* __restrict rows = state.rows;
  for (int64_t event = 0; event < block.size; ++event) {
    const double distance = block.distance[event];
    const double* push = block.push + event * kScanLanes;
    double* __restrict out = block.out == nullptr ? nullptr : block.out + event * 4 * kScanLanes;
    for (int64_t lane = 0; lane < kScanLanes; ++lane) {
      const double count = rows[lane], first = rows[kScanLanes + lane];
      const double step = count * distance;
      rows[2 * kScanLanes + lane] += distance * (2 * first + step);
      rows[kScanLanes + lane] = first + step;
      if (out != nullptr) {
        out[lane] = count;
        out[kScanLanes + lane] = rows[kScanLanes + lane];
        out[2 * kScanLanes + lane] = rows[2 * kScanLanes + lane];
      }
      rows[lane] = count + push[lane];
    }
  }
}

template <int64_t kScanLanes, int64_t kTerms, bool kWantsOut>
void scan_events(const ScanBlock& block, const double* series, ScanState& state) {
  double count[kScanLanes], first[kScanLanes], sums[kTerms][kScanLanes];
  for (int64_t lane = 0; lane < kScanLanes; ++lane) {
    count[lane] = state.rows[lane];
    first[lane] = state.rows[kScanLanes + lane];
    for (int64_t k = 0; k < kTerms; ++k) sums[k][lane] = state.rows[(3 + k) * kScanLanes + lane];
  }
  double decays[kScanEvents];
  exponentials(block.distance, block.size, decays);
  for (int64_t event = 0; event < block.size; ++event) {
    const double distance = block.distance[event];
    const double decay = decays[event];
    const double* push = block.push + event * kScanLanes;
    double values[kScanLanes] = {}, slopes[kScanLanes] = {};
    double power = 1;
    for (int64_t k = 0; k < kTerms; ++k) {
      power *= decay;
      for (int64_t lane = 0; lane < kScanLanes; ++lane) {
        const double sum = sums[k][lane] * power;
        if constexpr (kWantsOut) {
          values[lane] += series[k] * sum;
          slopes[lane] += series[kTerms + k] * sum;
        }
        sums[k][lane] = sum + push[lane];
      }
    }
    for (int64_t lane = 0; lane < kScanLanes; ++lane) {
      first[lane] += count[lane] * distance;
      if constexpr (kWantsOut) {
        double* out = block.out + event * 4 * kScanLanes + lane;
        out[0] = count[lane];
        out[kScanLanes] = first[lane];
        out[2 * kScanLanes] = values[lane];
        out[3 * kScanLanes] = slopes[lane];
      }
      count[lane] += push[lane];
    }
  }
  for (int64_t lane = 0; lane < kScanLanes; ++lane) {
    state.rows[lane] = count[lane];
    state.rows[kScanLanes + lane] = first[lane];
    for (int64_t k = 0; k < kTerms; ++k) state.rows[(3 + k) * kScanLanes + lane] = sums[k][lane];
  }
}

template <int64_t kScanLanes, int64_t kTerms>
void scan_exponentials(const ScanBlock& block, const double* series, ScanState& state) {
  if (block.out != nullptr) {
    scan_events<kScanLanes, kTerms, true>(block, series, state);
  } else {
    scan_events<kScanLanes, kTerms, false>(block, series, state);
  }
}

// Each pair once, at the item with the greater score: its distance to the others is not negative.
void soft_ranks(const double* score, int64_t size, double temperature, const double* coefficients,
                double* __restrict ranks, double* __restrict grads) {
  for (int64_t i = 0; i < size; ++i) {
    const double here = score[i];
    double lanes[kLanes] = {};
    const auto add = [&](int64_t j, int64_t lane) {
      const double u = exp_of_negative<13>((here - score[j]) / temperature);
      const double sigmoid = u / (1 + u);
      if (ranks != nullptr) {
        lanes[lane] += sigmoid;
        ranks[j] += 1 / (1 + u);
      } else {
        const double term = (coefficients[j] - coefficients[i]) * (sigmoid / (1 + u));
        lanes[lane] += term;
        grads[j] -= term;
      }
    };
    int64_t j = i + 1;
    for (; j + kLanes <= size; j += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) add(j + lane, lane);
    }
    for (int64_t lane = 0; j < size; ++j, ++lane) add(j, lane);
    double sum = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
    (ranks != nullptr ? ranks : grads)[i] += sum;
  }
}

#define FRL_WEIGHT_LOOPS(Loss, Weight) \
  {sum_pairs<Loss, Weight, false>, sum_pairs<Loss, Weight, true>}
#define FRL_LOSS_LOOPS(Loss)                                               \
  {FRL_WEIGHT_LOOPS(Loss, UnitWeight), FRL_WEIGHT_LOOPS(Loss, GainWeight), \
   FRL_WEIGHT_LOOPS(Loss, DeltaNdcgWeight), FRL_WEIGHT_LOOPS(Loss, RankDistanceWeight)}

constexpr LambdaLoops make_lambda_loops() {
  constexpr int64_t kNarrow = NarrowSeries::kTerms, kWide = WideSeries::kTerms;
  return {
      {FRL_LOSS_LOOPS(NarrowLogistic), FRL_LOSS_LOOPS(WideLogistic), FRL_LOSS_LOOPS(GapTerm<Hinge>),
       FRL_LOSS_LOOPS(GapTerm<SquaredHinge>)},
      {{scan_moments<1>, scan_moments<2>, scan_moments<4>, scan_moments<8>},
       {scan_exponentials<1, kNarrow>, scan_exponentials<2, kNarrow>, scan_exponentials<4, kNarrow>,
        scan_exponentials<8, kNarrow>},
       {scan_exponentials<1, kWide>, scan_exponentials<2, kWide>, scan_exponentials<4, kWide>,
        scan_exponentials<8, kWide>}},
      soft_ranks,
  };
}

#undef FRL_LOSS_LOOPS
#undef FRL_WEIGHT_LOOPS
