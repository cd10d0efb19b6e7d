// SPDX-License-Identifier: BSD-3-Clause
//
// Soft ranks of approx_ndcg and their gradients, of items in descending order of scores:
//
//   rank_i = 1 + sum_{j != i} sigmoid((s_j - s_i) / T)
//   grad_m = sum_i (c_i - c_m) sigmoid'((s_i - s_m) / T), c = d loss / d rank
//
// Two scores are subtracted before anything else happens to them: relative to a third one, such as
// the largest, small differences would be lost.
//
// Short lists go pair by pair. Others in O(n) by the exponential scan of lambda/scan.h, without
// labels: with u = exp(-|s_i - s_j| / T), an item below adds u / (1 + u) and one above
// 1 - u / (1 + u); sigmoid' is u / (1 + u)^2 either way. One thread, O(n) memory.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/listwise/policy.h"
#include "cpu/simd/lambda_loops.h"
#include "losses/logistic_series.h"

namespace fused_rankloss::cpu::listwise {

struct SoftRanks {
  const double* score;
  int64_t size;
  double temperature;
  bool wide;  // to fp64 accuracy

  void ranks_to(double* ranks) const {
    std::fill_n(ranks, size, 1.0);
    if (size <= kDirectSoftRanks) {
      lambda_loops().soft_ranks(score, size, temperature, nullptr, ranks, nullptr);
    } else if (wide) {
      scan_ranks<WideSeries>(ranks);
    } else {
      scan_ranks<NarrowSeries>(ranks);
    }
  }

  // Adds to `grads`, times T; `coefficients` are c.
  void add_gradients(const double* coefficients, double* grads) const {
    if (size <= kDirectSoftRanks) {
      lambda_loops().soft_ranks(score, size, temperature, coefficients, nullptr, grads);
    } else if (wide) {
      scan_gradients<WideSeries>(coefficients, grads);
    } else {
      scan_gradients<NarrowSeries>(coefficients, grads);
    }
  }

 private:
  template <typename Series>
  void scan_ranks(double* ranks) const {
    const auto series = coefficients_of<Series>(Series::sigmoid);
    walk<Series, 1>(
        true, series.data(), [](int64_t, double* push) { push[0] = 1; },
        [&](int64_t t, const double* out) { ranks[t] += out[0] - out[2]; });
    walk<Series, 1>(
        false, series.data(), [](int64_t, double* push) { push[0] = 1; },
        [&](int64_t t, const double* out) { ranks[t] += out[2]; });
  }

  template <typename Series>
  void scan_gradients(const double* coefficients, double* grads) const {
    const auto series = coefficients_of<Series>(Series::curvature);
    for (const bool down : {true, false}) {
      walk<Series, 2>(
          down, series.data(),
          [&](int64_t t, double* push) {
            push[0] = 1;
            push[1] = coefficients[t];
          },
          [&](int64_t t, const double* out) { grads[t] += out[5] - coefficients[t] * out[4]; });
    }
  }

  // [2][terms]; nothing asks for the second row.
  template <typename Series>
  static std::vector<double> coefficients_of(double (*function)(int)) {
    std::vector<double> series(2 * Series::kTerms);
    for (int k = 0; k < Series::kTerms; ++k) series[k] = function(k);
    return series;
  }

  template <typename Series, int kScanLanes, typename Push, typename Look>
  void walk(bool down, const double* series, Push&& push, Look&& look) const {
    constexpr ScanTerms kTerms =
        Series::kTerms == NarrowSeries::kTerms ? ScanTerms::kNarrow : ScanTerms::kWide;
    const auto scan = lambda_loops().scan[static_cast<int>(kTerms)][kScanLanes - 1];
    double distances[kScanEvents], pushes[kScanEvents * kScanLanes];
    double out[kScanEvents * 4 * kScanLanes];
    ScanState state;
    double before = down ? score[0] : score[size - 1];
    for (int64_t done = 0; done < size; done += kScanEvents) {
      const int64_t count = std::min(kScanEvents, size - done);
      const auto item = [&](int64_t t) { return down ? done + t : size - 1 - done - t; };
      for (int64_t t = 0; t < count; ++t) {
        const double here = score[item(t)];
        distances[t] = (down ? before - here : here - before) / temperature;
        before = here;
        push(item(t), pushes + t * kScanLanes);
      }
      scan({count, distances, pushes, out}, series, state);
      for (int64_t t = 0; t < count; ++t) look(item(t), out + t * 4 * kScanLanes);
    }
  }
};

}  // namespace fused_rankloss::cpu::listwise
