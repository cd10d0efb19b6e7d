// SPDX-License-Identifier: BSD-3-Clause
//
// Where the results of a list go: its sums for every margin, and the gradients of its slots.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "args/pairwise.h"
#include "cpu/lists/label_order.h"
#include "cpu/simd/pair_sums.h"

namespace fused_rankloss::cpu::pairwise {

template <typename Score, typename Sum>
class PairwiseOutput {
 public:
  static constexpr bool kCounts = std::is_integral_v<Sum>;

  PairwiseOutput(const PairwiseArgs& args, const ListReader<Score>& reader, const Team& team)
      : args_(args), reader_(reader), team_(team) {}

  // `value` and `slope` point at [K] numbers that lie num_lists apart. `memory` holds fp64 sums of
  // every margin where the result does not hold them itself.
  void begin_list(Range slots, std::byte* memory, double* value, double* slope) {
    slots_ = slots;
    memory_ = memory;
    value_ = value;
    slope_ = slope;
    per_unit_ = 1;
  }

  // What stored sums are divided by: a power of two.
  void set_unit(double unit) { per_unit_ = 1 / unit; }

  double margin(int64_t k) const { return args_.margins ? args_.margins[k] : args_.margin; }
  bool inclusive() const { return args_.boundary_grad > 0; }
  bool wants_grad() const { return args_.raw_grad != nullptr; }
  ListWeights<Score> weights() const { return {reader_, slots_.begin}; }

  void add(int64_t k, const PairSums& sums) const {
    value_[k * args_.lists.num_lists] += sums.value;
    slope_[k * args_.lists.num_lists] += sums.slope;
  }

  // Where gradients are summed by slot in the list: counts in the result itself.
  Sum* sums(int64_t k) const {
    if (!wants_grad()) return nullptr;
    if constexpr (kCounts) {
      return static_cast<Sum*>(args_.raw_grad) + k * args_.lists.num_slots + slots_.begin;
    } else {
      return reinterpret_cast<double*>(memory_) + k * slots_.size();
    }
  }

  // Calls `body` with a pointer to where the result holds this list's gradients for margin k.
  template <typename Body>
  void visit_result(int64_t k, Body&& body) const {
    const int64_t first = k * args_.lists.num_slots + slots_.begin;
    if constexpr (kCounts) {
      body(static_cast<Sum*>(args_.raw_grad) + first);
    } else if (reader_.double_results()) {
      body(static_cast<double*>(args_.raw_grad) + first);
    } else {
      body(static_cast<float*>(args_.raw_grad) + first);
    }
  }

  template <typename Real>
  void store(int64_t k, int64_t index, Real sum) const {
    visit_result(k, [&](auto* result) {
      using Stored = std::remove_pointer_t<decltype(result)>;
      if constexpr (kCounts) {
        result[index] = static_cast<Stored>(sum);
      } else {
        result[index] = static_cast<Stored>(sum * per_unit_);
      }
    });
  }

  void clear_sums() const {
    team_.run(num_stretches(slots_.size()), [&](int64_t task, int) {
      const Range range = stretch(task, slots_.size());
      for (int64_t k = 0; k < args_.num_margins; ++k) {
        std::fill(sums(k) + range.begin, sums(k) + range.end, Sum{0});
      }
    });
  }

  // Counts are in their place already.
  void store_sums() const {
    if (kCounts || !wants_grad()) return;
    team_.run(num_stretches(slots_.size()), [&](int64_t task, int) {
      const Range range = stretch(task, slots_.size());
      for (int64_t k = 0; k < args_.num_margins; ++k) {
        for (int64_t t = range.begin; t < range.end; ++t) store(k, t, sums(k)[t]);
      }
    });
  }

 protected:
  const PairwiseArgs& args_;
  const ListReader<Score>& reader_;
  const Team& team_;
  Range slots_{0, 0};

 private:
  std::byte* memory_ = nullptr;
  double* value_ = nullptr;
  double* slope_ = nullptr;
  double per_unit_ = 1;
};

}  // namespace fused_rankloss::cpu::pairwise
