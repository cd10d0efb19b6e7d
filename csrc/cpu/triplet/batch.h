// SPDX-License-Identifier: BSD-3-Clause
//
// Batches by label, forward: solve the anchors in label order, reduce, and compute the gradient at
// the same time if it is wanted.
#pragma once

#include <cmath>
#include <optional>
#include <vector>

#include "cpu/triplet/direct.h"
#include "cpu/triplet/hard_gradients.h"
#include "cpu/triplet/hard_search.h"
#include "cpu/triplet/policy.h"
#include "cpu/triplet/semi_hard.h"
#include "cpu/triplet/sweep.h"

namespace fused_rankloss::cpu::triplet {

inline bool is_small(const TripletBatch& batch) {
  return batch.num_anchors * batch.num_refs <= kDirectPairs;
}

// Stores rows of the gradient, rounded once.
template <typename Stored>
struct RowStore {
  void* to;
  int64_t dim;

  void operator()(int64_t row, const double* values) const {
    Stored* stored = static_cast<Stored*>(to) + row * dim;
    for (int64_t d = 0; d < dim; ++d) stored[d] = round_to<Stored>(values[d]);
  }
};

// The common frame of the rows for a search; none if every anchor is to be solved directly.
template <typename Real>
std::optional<Frame> search_frame(const Problem<Real>& problem) {
  const TripletBatch& batch = problem.batch;
  if (is_small(batch)) return std::nullopt;
  std::vector<const Embeddings<Real>*> sides{&problem.embeddings};
  if (!batch.self) sides.push_back(&*problem.references);
  Frame frame = make_frame(problem, sides);
  if (!frame.usable()) return std::nullopt;
  return frame;
}

// Whether the candidates of all positives fit in memory.
template <typename Real>
bool can_search_semi_hard(const Problem<Real>& problem) {
  for (const Range& range : problem.labels.classes) {
    if (range.size() > kSemiHardClass) return false;
  }
  return true;
}

// Calls solved(position, layout, count, positives, negatives) for every anchor with a triplet.
template <typename Real, typename Solved>
void search_semi_hard(const Problem<Real>& problem, const Frame& frame, const Solved& solved) {
  const PanelPair<float> panels(problem, frame);
  SemiHardSearch<Real> search(problem, frame, panels);
  search.run();
  const int64_t size = problem.batch.num_anchors, each = 16;
  problem.team.run((size + each - 1) / each, [&](int64_t task, int) {
    RowSolver solver(problem.batch.distance, problem.term);
    std::vector<double> keys;
    for (int64_t t = task * each; t < std::min(size, (task + 1) * each); ++t) {
      const RowLayout row = problem.layout(t);
      if (!row.has_triplet()) continue;
      search.solve(t, solver, keys,
                   [&](int64_t count, const Pick* positives, const Pick* negatives) {
                     solved(t, row, count, positives, negatives);
                   });
    }
  });
}

// The pairs of semi-hard terms, grouped by anchor.
class SemiHardPairs {
 public:
  explicit SemiHardPairs(int64_t num_anchors) : found_(num_anchors) {}

  // Adds the pairs of an anchor, weighted by `scale`, without those of weight 0. Returns the sums
  // of its terms.
  template <typename Real>
  AnchorTerms add(const Problem<Real>& problem, double scale, int64_t position,
                  const RowLayout& row, int64_t count, const Pick* positives,
                  const Pick* negatives) {
    const int64_t anchor = problem.labels.anchors[position];
    const RowSolver solver(problem.batch.distance, problem.term);
    return solver.semi_hard(row, count, positives, negatives, [&](const Pick& pick, double slope) {
      if (scale * slope == 0) return;
      found_[anchor].push_back({anchor, problem.labels.refs[pick.position],
                                problem.pairs.distance_of(pick.key), scale * slope});
    });
  }

  // All pairs in the order of anchors, with weights multiplied by `scale`.
  std::vector<MinedPair> all(double scale) const {
    std::vector<MinedPair> pairs;
    for (const auto& anchor : found_) {
      for (MinedPair pair : anchor) {
        pair.weight *= scale;
        pairs.push_back(pair);
      }
    }
    return pairs;
  }

 private:
  std::vector<std::vector<MinedPair>> found_;
};

// Computes the gradients of mined pairs, rounded to `Stored`. Without references, `refs` are the
// anchors.
template <typename Stored, typename Real>
void gather(const Pairs<Real>& pairs, const Embeddings<Real>& anchors, const Embeddings<Real>& refs,
            const std::vector<MinedPair>& mined, const ThreadTeam& team, void* grad,
            void* grad_refs) {
  const bool self = &refs == &anchors;
  const Gather<Stored, Real> gather(pairs, anchors, refs, mined);
  gather.anchors_to(grad, self, team);
  if (!self) gather.refs_to(grad_refs, team);
}

// Computes the gradients of all anchors directly.
template <typename Stored, typename Real, typename GradOutput>
void differentiate_directly(const Problem<Real>& problem, const GradOutput& grad_output, void* grad,
                            void* grad_refs) {
  const TripletBatch& batch = problem.batch;
  std::vector<double> grads(batch.num_anchors * batch.dim);
  std::vector<double> ref_grads(batch.self ? 0 : batch.num_refs * batch.dim);
  backward_directly(problem, grad_output, grads.data(),
                    batch.self ? grads.data() : ref_grads.data());
  const auto store = [&](void* to, const std::vector<double>& values) {
    const RowStore<Stored> row{to, batch.dim};
    for (size_t t = 0; t * batch.dim < values.size(); ++t) row(t, values.data() + t * batch.dim);
  };
  store(grad, grads);
  store(grad_refs, ref_grads);
}

// The forward pass. The loss and its gradients have the compute type of rows.
template <typename Real>
class ForwardPass {
 public:
  ForwardPass(const BatchTripletArgs& args, const Problem<Real>& problem)
      : args_(args), problem_(problem), terms_(args.batch.num_anchors) {}

  void run() {
    if (!search()) {
      forward_directly(problem_, terms_.data());
      if (args_.needs_grad) {
        const double scale = anchor_scale();
        differentiate_directly<Real>(
            problem_, [scale](int64_t) { return scale; }, args_.grad, args_.grad_refs);
      }
    }
    reduce();
  }

 private:
  // Returns false if every anchor is to be solved directly.
  bool search() {
    const std::optional<Frame> frame = search_frame(problem_);
    if (!frame) return false;
    switch (problem_.batch.mining) {
      case Mining::kHard:
        solve_hard(*frame);
        return true;
      case Mining::kSemiHard:
        return solve_semi_hard(*frame);
      default:
        return solve_all(*frame);
    }
  }

  void solve_hard(const Frame& frame) {
    const PanelPair<float> panels(problem_, frame);
    HardSearch<Real> search(problem_, panels);
    const std::vector<HardPicks> picks = search.run();
    const RowSolver solver(problem_.batch.distance, problem_.term);
    for (int64_t t = 0; t < problem_.batch.num_anchors; ++t) {
      if (problem_.layout(t).has_triplet()) {
        terms_[t] = solver.hard(picks[t].positive, picks[t].negative, nullptr);
      }
    }
  }

  bool solve_semi_hard(const Frame& frame) {
    if (!can_search_semi_hard(problem_)) return false;
    SemiHardPairs pairs(problem_.batch.num_anchors);
    // A scale of 0 keeps no pairs.
    const double weight = args_.needs_grad ? 1 : 0;
    search_semi_hard(problem_, frame,
                     [&](int64_t t, const RowLayout& row, int64_t count, const Pick* positives,
                         const Pick* negatives) {
                       terms_[t] = pairs.add(problem_, weight, t, row, count, positives, negatives);
                     });
    if (args_.needs_grad) {
      gather<Real>(problem_.pairs, problem_.embeddings, problem_.refs(), pairs.all(anchor_scale()),
                   problem_.team, args_.grad, args_.grad_refs);
    }
    return true;
  }

  bool solve_all(const Frame& frame) {
    const PanelPair<Real> panels(problem_, frame);
    if (!can_sweep(problem_, frame, panels)) return false;
    AllSweep<Real> sweep(problem_, frame, panels, {.results = true, .gradients = args_.needs_grad});
    std::vector<HardPicks> picks(problem_.batch.num_anchors);
    if (!args_.needs_mined) {
      sweep.run();
    } else if constexpr (std::is_same_v<Real, double>) {
      sweep.run();
      const PanelPair<float> narrow(problem_, frame);
      picks = HardSearch<Real>(problem_, narrow, &sweep.positives()).run();
    } else {
      HardSearch<Real> search(problem_, panels, &sweep.positives());
      if (problem_.batch.self) {
        // One product per tile serves both the sweep and the search.
        picks = search.run([&](int64_t i, int64_t j, float* products, int worker) {
          sweep.add_tile(i, j, products, worker);
        });
      } else {
        sweep.run();
        picks = search.run();
      }
    }
    for (int64_t t = 0; t < problem_.batch.num_anchors; ++t) {
      if (!problem_.layout(t).has_triplet()) continue;
      terms_[t] = sweep.result(t);
      terms_[t].positive = picks[t].positive;
      terms_[t].negative = picks[t].negative;
    }
    if (args_.needs_grad) {
      const int64_t dim = problem_.batch.dim;
      sweep.finish(anchor_scale(), RowStore<Real>{args_.grad, dim},
                   RowStore<Real>{args_.grad_refs, dim});
    }
    return true;
  }

  double anchor_scale() const {
    double terms = 0, nonzero = 0;
    for (const AnchorTerms& anchor : terms_) {
      terms += anchor.terms;
      nonzero += anchor.nonzero;
    }
    return reduction_scale(args_.reduction, terms, nonzero);
  }

  // The results of the op from those of the anchors, which are in label order.
  void reduce() const {
    const int64_t num_anchors = problem_.batch.num_anchors;
    Real* loss = static_cast<Real*>(args_.loss);
    const bool none = args_.reduction == TripletReduction::kNone;
    double total = 0;
    for (int64_t position = 0; position < num_anchors; ++position) {
      const AnchorTerms& anchor = terms_[position];
      const int64_t index = problem_.labels.anchors[position];
      const bool found = anchor.positive.position >= 0;
      const auto place = [&](const Pick& pick, int64_t* indices, double* distances) {
        indices[index] = found ? problem_.labels.refs[pick.position] : -1;
        distances[index] = found ? problem_.pairs.distance_of(pick.key) : std::nan("");
      };
      place(anchor.positive, args_.positive, args_.distances);
      place(anchor.negative, args_.negative, args_.distances + num_anchors);
      args_.slope[index] = anchor.slope;
      if (none) loss[index] = static_cast<Real>(anchor.value);
      total += anchor.value;
    }
    *args_.anchor_scale = anchor_scale();
    if (!none) *loss = static_cast<Real>(*args_.anchor_scale * total);
  }

  const BatchTripletArgs& args_;
  const Problem<Real>& problem_;
  std::vector<AnchorTerms> terms_;  // [N], by position
};

}  // namespace fused_rankloss::cpu::triplet
