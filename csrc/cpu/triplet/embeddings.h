// SPDX-License-Identifier: BSD-3-Clause
//
// The embeddings of a batch as rows to work on: fp32 or fp64 as they are, 16-bit types as an fp32
// copy (exact), with their inverse norms for cosine.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "cpu/lists/parallel.h"
#include "cpu/triplet/pairs.h"
#include "cpu/triplet/policy.h"

namespace fused_rankloss::cpu::triplet {

template <typename Real>
class Embeddings {
 public:
  template <typename Stored>
  Embeddings(const Stored* stored, int64_t size, const Pairs<Real>& pairs, const Team& team)
      : size_(size), dim_(pairs.dim()) {
    constexpr bool kCopied = !std::is_same_v<Stored, Real>;
    if constexpr (kCopied) {
      copy_.resize(size * dim_);
      rows_ = copy_.data();
    } else {
      rows_ = stored;
    }
    const bool cosine = pairs.distance() == Distance::kCosine;
    if (cosine) inverse_.resize(size);
    if (!kCopied && !cosine) return;
    const int64_t each = std::max<int64_t>(1, kTripletTaskNumbers / std::max<int64_t>(1, dim_));
    team.run((size + each - 1) / each, [&](int64_t task, int) {
      for (int64_t i = task * each; i < std::min(size, (task + 1) * each); ++i) {
        if constexpr (kCopied) {
          for (int64_t d = 0; d < dim_; ++d) copy_[i * dim_ + d] = to_compute(stored[i * dim_ + d]);
        }
        if (cosine) inverse_[i] = pairs.inverse(rows_ + i * dim_);
      }
    });
  }

  int64_t size() const { return size_; }

  Row<Real> operator[](int64_t i) const {
    return {rows_ + i * dim_, inverse_.empty() ? 1 : inverse_[i]};
  }

 private:
  int64_t size_;
  int64_t dim_;
  const Real* rows_;
  std::vector<Real> copy_;
  std::vector<double> inverse_;
};

}  // namespace fused_rankloss::cpu::triplet
