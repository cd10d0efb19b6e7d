// SPDX-License-Identifier: BSD-3-Clause
//
// Part of all_loops.inl, under its rules.

// Indices are 64 bits wide. With -fwrapv (one of Python's own flags) 32-bit indices wrap around, so
// that a compiler cannot know that consecutive indices address consecutive memory.

inline constexpr int64_t kLanes = 8;

int64_t count_violations(const float* scores, double margin, bool inclusive, PairGrades grades,
                         float* __restrict reaches, int32_t* __restrict counts) {
  const int64_t size = grades.starts[grades.num_grades];
  for (int64_t t = 0; t < size; ++t) {
    reaches[t] = reach(scores[t], margin, inclusive);
    counts[t] = 0;
  }
  int64_t violations = 0;
  for (int64_t grade = 1; grade < grades.num_grades; ++grade) {
    const int64_t less = grades.starts[grade];
    const int64_t end = grades.starts[grade + 1];
    int64_t i = less;
    // Four more relevant items per step share the loads and stores of the less relevant ones.
    for (; i + 4 <= end; i += 4) {
      const float s0 = scores[i], s1 = scores[i + 1], s2 = scores[i + 2], s3 = scores[i + 3];
      int32_t c0 = 0, c1 = 0, c2 = 0, c3 = 0;
      for (int64_t j = 0; j < less; ++j) {
        const int32_t v0 = s0 <= reaches[j], v1 = s1 <= reaches[j];
        const int32_t v2 = s2 <= reaches[j], v3 = s3 <= reaches[j];
        counts[j] += (v0 + v1) + (v2 + v3);
        c0 += v0;
        c1 += v1;
        c2 += v2;
        c3 += v3;
      }
      counts[i] -= c0;
      counts[i + 1] -= c1;
      counts[i + 2] -= c2;
      counts[i + 3] -= c3;
      violations += (c0 + c1) + (c2 + c3);
    }
    for (; i < end; ++i) {
      const float s0 = scores[i];
      int32_t c0 = 0;
      for (int64_t j = 0; j < less; ++j) {
        const int32_t v0 = s0 <= reaches[j];
        counts[j] += v0;
        c0 += v0;
      }
      counts[i] -= c0;
      violations += c0;
    }
  }
  return violations;
}

template <typename Loss>
PairSums sum_pairs(const double* scores, double margin, const double* more_weight,
                   const double* less_weight, double boundary_grad, PairGrades grades,
                   double* grads) {
  PairSums total;
  // A number whose sign is the decision of reach (common/ordered.h) on a pair.
  const auto side = [=](int64_t i, int64_t j, double gap) {
    const double beyond = (scores[j] + margin) - scores[i];
    return beyond == 0 ? gap : beyond;
  };
  for (int64_t grade = 1; grade < grades.num_grades; ++grade) {
    const int64_t less = grades.starts[grade];
    const int64_t whole = less - less % kLanes;
    for (int64_t i = less; i < grades.starts[grade + 1]; ++i) {
      if (more_weight[i] == 0) continue;
      double value[kLanes] = {}, slope[kLanes] = {};
      const auto add = [&](int64_t j, int64_t lane) {
        // A pair that weighs nothing counts nothing, even at an infinite gap.
        const double distance = margin - (scores[i] - scores[j]);
        const double gap = less_weight[j] != 0 ? distance : 0;
        const double pair_slope =
            Loss::slope(Loss::kSlopeIsIndicator ? side(i, j, gap) : gap, boundary_grad);
        value[lane] += less_weight[j] * Loss::value(gap);
        slope[lane] += less_weight[j] * pair_slope;
        grads[j] += more_weight[i] * less_weight[j] * pair_slope;
      };
      for (int64_t j = 0; j < whole; j += kLanes) {
        for (int64_t lane = 0; lane < kLanes; ++lane) add(j + lane, lane);
      }
      for (int64_t j = whole; j < less; ++j) add(j, j - whole);
      double value_sum = 0, slope_sum = 0;
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        value_sum += value[lane];
        slope_sum += slope[lane];
      }
      grads[i] -= more_weight[i] * slope_sum;
      total.value += more_weight[i] * value_sum;
      total.slope += more_weight[i] * slope_sum;
    }
  }
  return total;
}

template <typename... Losses>
constexpr PairLoops loops_for(const char* isa, LossList<Losses...>) {
  return {isa, count_violations, {sum_pairs<Losses>...}};
}
