// SPDX-License-Identifier: BSD-3-Clause
//
// Soft ranks of approx_ndcg and their gradients, of items in descending order of x:
//
//   rank_i = 1 + sum_{j != i} sigmoid(x_j - x_i)
//   grad_m = sum_i (c_i - c_m) sigmoid'(x_i - x_m), c = d loss / d rank
//
// Short lists go pair by pair. Others in O(n) by the exponential scan of lambda_scan.h, without
// labels: with u = exp(-|x_i - x_j|), an item below adds u / (1 + u) and one above 1 - u / (1 + u);
// sigmoid' is u / (1 + u)^2 either way. One thread, O(n) memory.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/lambda_loops.h"
#include "cpu/policy.h"
#include "losses/logistic_series.h"

namespace fused_rankloss::cpu {

class SoftRanks {
 public:
  // `wide`: to fp64 accuracy.
  static void ranks(const double* x, int64_t size, bool wide, double* ranks) {
    std::fill_n(ranks, size, 1.0);
    if (size <= kDirectSoftRanks) {
      lambda_loops().soft_ranks(x, size, nullptr, ranks, nullptr);
    } else if (wide) {
      scan_ranks<WideSeries>(x, size, ranks);
    } else {
      scan_ranks<NarrowSeries>(x, size, ranks);
    }
  }

  // Adds to `grads`; `coefficients` are c.
  static void gradients(const double* x, const double* coefficients, int64_t size, bool wide,
                        double* grads) {
    if (size <= kDirectSoftRanks) {
      lambda_loops().soft_ranks(x, size, coefficients, nullptr, grads);
    } else if (wide) {
      scan_gradients<WideSeries>(x, coefficients, size, grads);
    } else {
      scan_gradients<NarrowSeries>(x, coefficients, size, grads);
    }
  }

 private:
  template <typename Series>
  static void scan_ranks(const double* x, int64_t size, double* ranks) {
    const auto series = coefficients_of<Series>(Series::sigmoid);
    walk<Series, 1>(
        x, size, true, series.data(), [](int64_t, double* push) { push[0] = 1; },
        [&](int64_t t, const double* out) { ranks[t] += out[0] - out[2]; });
    walk<Series, 1>(
        x, size, false, series.data(), [](int64_t, double* push) { push[0] = 1; },
        [&](int64_t t, const double* out) { ranks[t] += out[2]; });
  }

  template <typename Series>
  static void scan_gradients(const double* x, const double* coefficients, int64_t size,
                             double* grads) {
    const auto series = coefficients_of<Series>(Series::curvature);
    for (const bool down : {true, false}) {
      walk<Series, 2>(
          x, size, down, series.data(),
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
  static void walk(const double* x, int64_t size, bool down, const double* series, Push&& push,
                   Look&& look) {
    constexpr ScanTerms kTerms =
        Series::kTerms == NarrowSeries::kTerms ? ScanTerms::kNarrow : ScanTerms::kWide;
    const auto scan = lambda_loops().scan[static_cast<int>(kTerms)][kScanLanes - 1];
    double distances[kScanEvents], pushes[kScanEvents * kScanLanes];
    double out[kScanEvents * 4 * kScanLanes];
    ScanState state;
    double position = down ? x[0] : x[size - 1];
    for (int64_t done = 0; done < size; done += kScanEvents) {
      const int64_t count = std::min(kScanEvents, size - done);
      const auto item = [&](int64_t t) { return down ? done + t : size - 1 - done - t; };
      for (int64_t t = 0; t < count; ++t) {
        const double here = x[item(t)];
        distances[t] = down ? position - here : here - position;
        position = here;
        push(item(t), pushes + t * kScanLanes);
      }
      scan({count, distances, pushes, out}, series, state);
      for (int64_t t = 0; t < count; ++t) look(item(t), out + t * 4 * kScanLanes);
    }
  }
};

}  // namespace fused_rankloss::cpu
