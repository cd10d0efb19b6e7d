// SPDX-License-Identifier: BSD-3-Clause
//
// Small batches, and rows for which no search is certain: all canonical keys of an anchor, then its
// terms. O(N M D) time, O(M) memory per thread.
#pragma once

#include "cpu/triplet/problem.h"

namespace fused_rankloss::cpu::triplet {

// The terms of the anchor at `position`, from all its keys. The anchor has a triplet. `workspace`
// is [M]; afterwards it contains keys or, for batch-all, distances. If `weights` is not null, it is
// [M], and d anchor_sum / d distance is added to it.
template <typename Real>
AnchorTerms solve_directly(const Problem<Real>& problem, RowSolver& solver, int64_t position,
                           double* workspace, double* weights) {
  const RowLayout row = problem.layout(position);
  problem.keys(position, workspace);
  switch (problem.batch.mining) {
    case Mining::kHard:
      return solver.hard(row, workspace, weights);
    case Mining::kSemiHard:
      return solver.semi_hard(row, workspace, weights);
    default:
      const Pick positive = hardest_positive(row, workspace);
      const Pick negative = hardest_negative(row, workspace);
      for (int64_t s = 0; s < row.num_refs; ++s) {
        workspace[s] = problem.pairs.distance_of(workspace[s]);
      }
      return solver.all(row, workspace, positive, negative, weights);
  }
}

template <typename Real>
void forward_directly(const Problem<Real>& problem, AnchorTerms* terms /* [N], by position */) {
  const int64_t num_anchors = problem.batch.num_anchors, num_refs = problem.batch.num_refs;
  problem.team.run(num_anchors, [&](int64_t position, int) {
    if (!problem.layout(position).has_triplet()) return;
    RowSolver solver(problem.batch.distance, problem.term);
    std::vector<double> workspace(num_refs);
    terms[position] = solve_directly(problem, solver, position, workspace.data(), nullptr);
  });
}

// grads += grad_output(a) * d anchor_sum_a, for all anchors in order. `anchor_grads` is [N, D],
// `ref_grads` [M, D]; without references they are the same array.
template <typename Real, typename GradOutput>
void backward_directly(const Problem<Real>& problem, const GradOutput& grad_output,
                       double* anchor_grads, double* ref_grads) {
  const int64_t num_anchors = problem.batch.num_anchors, num_refs = problem.batch.num_refs;
  const int64_t dim = problem.batch.dim;
  RowSolver solver(problem.batch.distance, problem.term);
  std::vector<double> workspace(num_refs), weights(num_refs);
  for (int64_t position = 0; position < num_anchors; ++position) {
    poll_interrupts();
    const RowLayout row = problem.layout(position);
    const int64_t anchor = problem.labels.anchors[position];
    const double scale = grad_output(anchor);
    if (!row.has_triplet()) continue;
    std::fill(weights.begin(), weights.end(), 0.0);
    solve_directly(problem, solver, position, workspace.data(), weights.data());
    const Row<Real> x = problem.anchor_at(position);
    for (int64_t s = 0; s < num_refs; ++s) {
      if (weights[s] == 0) continue;
      const Row<Real> y = problem.ref_at(s);
      const double weight = scale * weights[s];
      const double distance = problem.batch.mining == Mining::kAll
                                  ? workspace[s]
                                  : problem.pairs.distance_of(workspace[s]);
      problem.pairs.add_gradient(anchor_grads + anchor * dim, weight, distance, x, y);
      problem.pairs.add_gradient(ref_grads + problem.labels.refs[s] * dim, weight, distance, y, x);
    }
  }
}

}  // namespace fused_rankloss::cpu::triplet
