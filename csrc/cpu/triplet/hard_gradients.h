// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of mined pairs, gathered: every row of the result sums up the pairs it is part of,
// as an anchor and then as a reference, where an inverse index lists them in ascending order of
// their anchors. Nothing is added by two threads, and nothing depends on their number.
//
// Numerics: direct differences, summed in fp64, rounded once. Memory: O(N + M + pairs).
#pragma once

#include <vector>

#include "cpu/triplet/embeddings.h"
#include "cpu/triplet/policy.h"

namespace fused_rankloss::cpu::triplet {

// A pair, how far it is, and d result / d distance.
struct MinedPair {
  int64_t anchor;
  int64_t ref;
  double distance;
  double weight;
};

template <typename Stored, typename Real>
class Gather {
 public:
  // `mined` is in ascending order of anchors.
  Gather(const Pairs<Real>& pairs, const Embeddings<Real>& anchors, const Embeddings<Real>& refs,
         const std::vector<MinedPair>& mined)
      : pairs_(pairs),
        anchors_(anchors),
        refs_(refs),
        mined_(mined),
        anchor_first_(anchors.size() + 1),
        ref_first_(refs.size() + 1),
        by_ref_(mined.size()) {
    for (const MinedPair& pair : mined) {
      ++anchor_first_[pair.anchor + 1];
      ++ref_first_[pair.ref + 1];
    }
    for (int64_t a = 0; a < anchors.size(); ++a) anchor_first_[a + 1] += anchor_first_[a];
    for (int64_t r = 0; r < refs.size(); ++r) ref_first_[r + 1] += ref_first_[r];
    std::vector<int64_t> next(ref_first_.begin(), ref_first_.end() - 1);
    for (size_t t = 0; t < mined.size(); ++t) {
      by_ref_[next[mined[t].ref]++] = static_cast<int64_t>(t);
    }
  }

  // The gradients of all anchors; of both sides where `both`, as the references are the anchors.
  void anchors_to(void* grads, bool both, const Team& team) const {
    for_rows(anchors_.size(), grads, team, [&](int64_t row, double* grad) {
      for (int64_t t = anchor_first_[row]; t < anchor_first_[row + 1]; ++t) {
        const MinedPair& pair = mined_[t];
        pairs_.add_gradient(grad, pair.weight, pair.distance, anchors_[row], refs_[pair.ref]);
      }
      if (both) add_as_ref(row, grad);
    });
  }

  void refs_to(void* grads, const Team& team) const {
    for_rows(refs_.size(), grads, team, [&](int64_t row, double* grad) { add_as_ref(row, grad); });
  }

 private:
  void add_as_ref(int64_t row, double* grad) const {
    for (int64_t t = ref_first_[row]; t < ref_first_[row + 1]; ++t) {
      const MinedPair& pair = mined_[by_ref_[t]];
      pairs_.add_gradient(grad, pair.weight, pair.distance, refs_[row], anchors_[pair.anchor]);
    }
  }

  template <typename Body>
  void for_rows(int64_t size, void* grads, const Team& team, const Body& body) const {
    const int64_t dim = pairs_.dim();
    const int64_t each = std::max<int64_t>(1, kTripletTaskNumbers / std::max<int64_t>(1, dim));
    Stored* out = static_cast<Stored*>(grads);
    team.run((size + each - 1) / each, [&](int64_t task, int) {
      std::vector<double> grad(dim);
      for (int64_t row = task * each; row < std::min(size, (task + 1) * each); ++row) {
        std::fill(grad.begin(), grad.end(), 0.0);
        body(row, grad.data());
        for (int64_t d = 0; d < dim; ++d) out[row * dim + d] = round_to<Stored>(grad[d]);
      }
    });
  }

  const Pairs<Real>& pairs_;
  const Embeddings<Real>& anchors_;
  const Embeddings<Real>& refs_;
  const std::vector<MinedPair>& mined_;
  std::vector<int64_t> anchor_first_;  // [N + 1], where an anchor's pairs begin
  std::vector<int64_t> ref_first_;     // [M + 1], where a reference's begin in
  std::vector<int64_t> by_ref_;        // [pairs], the pairs in order of their references
};

}  // namespace fused_rankloss::cpu::triplet
