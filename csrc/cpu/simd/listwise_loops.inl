// SPDX-License-Identifier: BSD-3-Clause
//
// Part of all_loops.inl, under its rules. Indices are 64 bits wide: pair_loops.inl says why.

inline constexpr int64_t kLanes = 8;

// Items between loads and stores, in loops of one concern each, which compilers make vector
// instructions of.
inline constexpr int64_t kPart = 128;

int64_t part_of(int64_t size, int64_t begin) { return size - begin < kPart ? size - begin : kPart; }
int64_t padded(int64_t size) { return (size + kLanes - 1) & -kLanes; }

// In fixed lanes, which are added in a fixed order.
struct LaneSum {
  double lanes[kLanes] = {};

  // `size` is a multiple of kLanes.
  void add(const double* x, int64_t size) {
    for (int64_t t = 0; t < size; t += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += x[t + lane];
    }
  }
  double sum() const {
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
           ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
  }
};

// By integers that sort as their floats do: no compiler may look for the largest of floats but one
// by one.
Extremes extremes(const double* x, int64_t size) {
  const auto key_of = [](double value) {
    const int64_t bits = bit_cast<int64_t>(value);
    return bits < 0 ? bits ^ 0x7fffffffffffffff : bits;
  };
  int64_t low = key_of(x[0]), high = low;
  for (int64_t t = 1; t < size; ++t) {
    const int64_t key = key_of(x[t]);
    low = key < low ? key : low;
    high = key > high ? key : high;
  }
  const auto value_of = [](int64_t key) {
    return bit_cast<double>(key < 0 ? key ^ 0x7fffffffffffffff : key);
  };
  return {value_of(low), value_of(high)};
}

bool has_nan(const double* x, int64_t size) {
  int64_t any = 0;
  for (int64_t t = 0; t < size; ++t) any |= x[t] != x[t];
  return any != 0;
}

bool are_weights(const double* x, int64_t size) {
  int64_t all = 1;
  for (int64_t t = 0; t < size; ++t) all &= is_weight(x[t]);
  return all != 0;
}

template <int kDegree, bool kWeighted>
ListNetSums list_net_sums(const ListNetItems& items) {
  LaneSum tops, rest, labels, weighted, spread;
  for (int64_t begin = 0; begin < items.size; begin += kPart) {
    const int64_t size = part_of(items.size, begin), whole = padded(size);
    double* __restrict score = items.score + begin;
    double* __restrict label = items.label + begin;
    double gaps[kPart], parts[kPart], counts[kPart], targets[kPart];
    for (int64_t t = 0; t < size; ++t) gaps[t] = items.top_score - score[t];
    for (int64_t t = 0; t < size; ++t) score[t] = exp_of_negative<kDegree>(gaps[t]);
    for (int64_t t = 0; t < size; ++t) {
      targets[t] = exp_of_negative<kDegree>(items.top_label - label[t]);
    }
    for (int64_t t = 0; t < size; ++t) {
      parts[t] = gaps[t] == 0 ? 0.0 : score[t];
      counts[t] = gaps[t] == 0 ? 1.0 : 0.0;
    }
    for (int64_t t = size; t < whole; ++t) gaps[t] = parts[t] = counts[t] = targets[t] = 0;
    tops.add(counts, whole);
    rest.add(parts, whole);
    labels.add(targets, whole);
    if constexpr (kWeighted) {
      for (int64_t t = 0; t < size; ++t) targets[t] *= items.weight[begin + t];
      weighted.add(targets, whole);
    }
    for (int64_t t = 0; t < size; ++t) label[t] = targets[t];
    for (int64_t t = 0; t < whole; ++t) gaps[t] *= targets[t];
    spread.add(gaps, whole);
  }
  ListNetSums sums{tops.sum(), rest.sum(), labels.sum(), labels.sum(), spread.sum()};
  if constexpr (kWeighted) sums.weighted = weighted.sum();
  return sums;
}

template <int kDegree>
ListNetSums list_net_sums(const ListNetItems& items) {
  return items.weight == nullptr ? list_net_sums<kDegree, false>(items)
                                 : list_net_sums<kDegree, true>(items);
}

template <typename Real>
void list_net_gradients(const ListNetItems& items, double score_factor, double target_factor,
                        Real* __restrict out) {
  const double* __restrict score = items.score;
  const double* __restrict label = items.label;
  for (int64_t t = 0; t < items.size; ++t) {
    out[t] = static_cast<Real>(score_factor * score[t] - target_factor * label[t]);
  }
}

template <int kDegree>
double list_mle_exponentials(const ListMleChunk& chunk) {
  double* __restrict own = chunk.own;
  const double* __restrict score = chunk.score;
  for (int64_t t = 0; t < chunk.size; ++t) own[t] = exp_of_negative<kDegree>(chunk.top - score[t]);
  double sum = 0;
  for (int64_t t = chunk.size - 1; t >= 0; --t) chunk.sums[t] = sum += own[t];
  return sum;
}

template <int kLogTerms>
ListMleSums list_mle_terms(const ListMleChunk& chunk, double behind) {
  LaneSum value;
  double passed = 0;
  for (int64_t begin = 0; begin < chunk.size; begin += kPart) {
    const int64_t size = part_of(chunk.size, begin), whole = padded(size);
    const double* __restrict score = chunk.score + begin;
    const double* __restrict own = chunk.own + begin;
    const double* __restrict weight = chunk.weight + begin;
    double* __restrict sums = chunk.sums + begin;
    double tails[kPart + 1], terms[kPart];
    for (int64_t t = 0; t < size; ++t) tails[t] = sums[t] + behind;
    tails[size] = begin + size < chunk.size ? sums[size] + behind : behind;
    for (int64_t t = 0; t < size; ++t) {
      terms[t] =
          log_sum_term<kLogTerms>(chunk.top - score[t], own[t], tails[t + 1], tails[t]) * weight[t];
    }
    for (int64_t t = size; t < whole; ++t) terms[t] = 0;
    value.add(terms, whole);
    for (int64_t t = 0; t < size; ++t) tails[t] = weight[t] / tails[t];
    for (int64_t t = 0; t < size; ++t) sums[t] = passed += tails[t];
  }
  return {value.sum(), passed};
}

template <typename Real>
void list_mle_gradients(const ListMleChunk& chunk, double passed, Real* __restrict out) {
  const double* __restrict own = chunk.own;
  const double* __restrict sums = chunk.sums;
  const double* __restrict weight = chunk.weight;
  for (int64_t t = 0; t < chunk.size; ++t) {
    out[t] = static_cast<Real>(own[t] * (sums[t] + passed) - weight[t]);
  }
}

constexpr ListwiseLoops make_listwise_loops() {
  return {
      extremes,
      has_nan,
      are_weights,
      {list_net_sums<8>, list_net_sums<13>},
      {list_mle_exponentials<8>, list_mle_exponentials<13>},
      {list_mle_terms<6>, list_mle_terms<10>},
      list_net_gradients<float>,
      list_net_gradients<double>,
      list_mle_gradients<float>,
      list_mle_gradients<double>,
  };
}
