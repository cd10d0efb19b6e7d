// SPDX-License-Identifier: BSD-3-Clause
//
// References that are equal, element by element, to references of another label. To an anchor of
// that label they are exactly as far as one of its positives is: a tie, which products of rows
// would not show. For cosine, rows are equal whose directions are.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "cpu/triplet/policy.h"
#include "cpu/triplet/problem.h"

namespace fused_rankloss::cpu::triplet {

template <typename Real>
class Twins {
 public:
  explicit Twins(const Problem<Real>& problem)
      : problem_(problem), twin_(problem.batch.num_refs), group_(problem.batch.num_refs) {
    const int64_t num_refs = problem.batch.num_refs;
    std::vector<uint64_t> hashes(num_refs);
    const int64_t each = std::max<int64_t>(1, kTripletTaskNumbers / (problem.batch.dim + 1));
    problem.team.run((num_refs + each - 1) / each, [&](int64_t task, int) {
      for (int64_t s = task * each; s < std::min(num_refs, (task + 1) * each); ++s) {
        hashes[s] = hash(problem.ref_at(s));
      }
    });
    std::vector<int64_t> order(num_refs), label(num_refs);
    for (int64_t s = 0; s < num_refs; ++s) order[s] = s;
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return hashes[a] != hashes[b] ? hashes[a] < hashes[b] : a < b;
    });
    for (const Range& range : problem.labels.classes) {
      std::fill(label.begin() + range.begin, label.begin() + range.end, range.begin);
    }
    for (int64_t begin = 0, t = 1; t <= num_refs; ++t) {
      // The rows of one group; should two different rows ever have one hash, the smaller part of
      // the group goes without.
      const bool same = t < num_refs && hashes[order[t]] == hashes[order[begin]] &&
                        equal(problem.ref_at(order[t]), problem.ref_at(order[begin]));
      if (same) continue;
      // Positions ascend, and with them labels.
      if (label[order[begin]] != label[order[t - 1]]) {
        any_ = true;
        for (int64_t at = begin; at < t; ++at) {
          twin_[order[at]] = 1;
          group_[order[at]] = begin;
          members_.push_back({label[order[at]], begin});
        }
      }
      begin = t;
    }
    std::sort(members_.begin(), members_.end());
  }

  bool any() const { return any_; }

  // Whether the anchor's label has a reference equal to this one.
  bool ties(int64_t anchor_position, int64_t ref_position) const {
    if (!twin_[ref_position]) return false;
    const Range same = problem_.labels.same_label[anchor_position];
    return same.size() > 0 && std::binary_search(members_.begin(), members_.end(),
                                                 Member{same.begin, group_[ref_position]});
  }

 private:
  using Member = std::pair<int64_t, int64_t>;  // first position of a label, group

  // -0 is 0.
  static double element(Row<Real> row, int64_t d) {
    return static_cast<double>(row.data[d]) * row.inverse + 0.0;
  }

  uint64_t hash(Row<Real> row) const {
    uint64_t mixed = 0;
    for (int64_t d = 0; d < problem_.batch.dim; ++d) {
      mixed = (mixed ^ std::bit_cast<uint64_t>(element(row, d))) * 0x9e3779b97f4a7c15;
      mixed ^= mixed >> 32;
    }
    return mixed;
  }

  bool equal(Row<Real> x, Row<Real> y) const {
    for (int64_t d = 0; d < problem_.batch.dim; ++d) {
      if (element(x, d) != element(y, d)) return false;
    }
    return true;
  }

  const Problem<Real>& problem_;
  bool any_ = false;
  std::vector<uint8_t> twin_;   // [M]
  std::vector<int64_t> group_;  // [M], of twins
  std::vector<Member> members_;
};

}  // namespace fused_rankloss::cpu::triplet
