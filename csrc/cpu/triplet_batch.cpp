// SPDX-License-Identifier: BSD-3-Clause
//
// The ops batch_triplet_forward and batch_triplet_backward on the CPU: check, order by label, solve
// anchor by anchor, reduce.
#include <cmath>
#include <vector>

#include "common/triplet_op.h"
#include "cpu/triplet_direct.h"
#include "cpu/triplet_gather.h"
#include "cpu/triplet_search.h"
#include "cpu/triplet_semi_hard.h"
#include "cpu/triplet_sweep.h"

namespace fused_rankloss::cpu {
namespace {

bool is_small(const TripletBatch& batch) {
  return batch.num_anchors * batch.num_refs <= kDirectPairs;
}

// Calls `body` with a value of the stored type and one of the type rows are worked on in.
template <typename Body>
void dispatch_embeddings(const Tensor& embeddings, const std::string& op, Body&& body) {
  dispatch_scores(embeddings.scalar_type(), op,
                  [&](auto stored) { body(stored, row_t<decltype(stored)>{}); });
}

// The frame for searching, unless everything is to be solved directly.
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

template <typename Real>
void solve_hard(const Problem<Real>& problem, const Frame& frame, AnchorTerms* terms) {
  const PanelPair<float> panels(problem, frame);
  HardSearch<Real> search(problem, panels);
  const std::vector<HardPicks> picks = search.run();
  const RowSolver solver(problem.batch.distance, problem.term);
  for (int64_t t = 0; t < problem.batch.num_anchors; ++t) {
    if (problem.layout(t).has_triplet()) {
      terms[t] = solver.hard(picks[t].positive, picks[t].negative, nullptr);
    }
  }
}

template <typename Real>
void collect(const Problem<Real>& problem, const AllSweep<Real>& sweep,
             const std::vector<HardPicks>& picks, AnchorTerms* terms) {
  for (int64_t t = 0; t < problem.batch.num_anchors; ++t) {
    if (!problem.layout(t).has_triplet()) continue;
    terms[t] = sweep.result(t);
    terms[t].positive = picks[t].positive;
    terms[t].negative = picks[t].negative;
  }
}

// Returns false where a sweep cannot do it.
template <typename Real>
bool solve_all(const Problem<Real>& problem, const Frame& frame, AnchorTerms* terms) {
  const PanelPair<float> panels(problem, frame);
  if (!can_sweep(problem, frame, panels)) return false;
  if constexpr (std::is_same_v<Real, double>) {
    const PanelPair<double> wide(problem, frame);
    AllSweep<Real> sweep(problem, frame, wide);
    HardSearch<Real> search(problem, panels, &sweep.positives());
    sweep.run();
    collect(problem, sweep, search.run(), terms);
  } else {
    AllSweep<Real> sweep(problem, frame, panels);
    HardSearch<Real> search(problem, panels, &sweep.positives());
    if (problem.batch.self) {
      // One product a tile serves both.
      const auto visit = [&](int64_t i, int64_t j, float* products, int worker) {
        sweep.add_tile(i, j, products, worker);
      };
      collect(problem, sweep, search.run(visit), terms);
    } else {
      sweep.run();
      collect(problem, sweep, search.run(), terms);
    }
  }
  return true;
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

template <typename Real>
void solve(const Problem<Real>& problem, AnchorTerms* terms) {
  if (const std::optional<Frame> frame = search_frame(problem)) {
    if (problem.batch.mining == Mining::kHard) return solve_hard(problem, *frame, terms);
    if (problem.batch.mining == Mining::kAll && solve_all(problem, *frame, terms)) return;
    if (problem.batch.mining == Mining::kSemiHard && can_search_semi_hard(problem)) {
      const RowSolver solver(problem.batch.distance, problem.term);
      const auto solved = [&](int64_t t, const RowLayout& row, int64_t count, const Pick* positives,
                              const Pick* negatives) {
        const auto ignore = [](const Pick&, double) {};
        terms[t] = solver.semi_hard(row, count, positives, negatives, ignore);
      };
      return search_semi_hard(problem, *frame, solved);
    }
  }
  forward_directly(problem, terms);
}

// The results of the op from those of the anchors, which are in label order.
template <typename Loss, typename Real>
void reduce(const BatchTripletArgs& args, const Problem<Real>& problem,
            const std::vector<AnchorTerms>& terms) {
  const int64_t num_anchors = args.batch.num_anchors;
  Loss* loss = static_cast<Loss*>(args.loss);
  const bool none = args.reduction == TripletReduction::kNone;
  AnchorTerms total;
  for (int64_t position = 0; position < num_anchors; ++position) {
    const AnchorTerms& anchor = terms[position];
    const int64_t index = problem.labels.anchors[position];
    const bool found = anchor.positive.position >= 0;
    const auto place = [&](const Pick& pick, int64_t* indices, double* distances) {
      indices[index] = found ? problem.labels.refs[pick.position] : -1;
      distances[index] = found ? problem.pairs.distance_of(pick.key) : std::nan("");
    };
    place(anchor.positive, args.positive, args.distances);
    place(anchor.negative, args.negative, args.distances + num_anchors);
    args.slope[index] = anchor.slope;
    if (none) loss[index] = static_cast<Loss>(anchor.value);
    total.value += anchor.value;
    total.terms += anchor.terms;
    total.nonzero += anchor.nonzero;
  }
  *args.anchor_scale = reduction_scale(args.reduction, total.terms, total.nonzero);
  if (!none) *loss = static_cast<Loss>(*args.anchor_scale * total.value);
}

template <typename Stored, typename Real>
void forward(const BatchTripletArgs& args) {
  const Team team = is_small(args.batch) ? Team::single() : Team::all();
  const Problem<Real> problem(std::type_identity<Stored>{}, args.batch, args.term.term(), team);
  std::vector<AnchorTerms> terms(args.batch.num_anchors);
  solve(problem, terms.data());
  reduce<std::conditional_t<std::is_same_v<Stored, double>, double, float>>(args, problem, terms);
}

// Rounds rows of the gradient once.
template <typename Stored>
struct RowStore {
  void* to;
  int64_t dim;

  void operator()(int64_t row, const double* values) const {
    Stored* stored = static_cast<Stored*>(to) + row * dim;
    for (int64_t d = 0; d < dim; ++d) stored[d] = round_to<Stored>(values[d]);
  }
};

// "hard": the picks of the forward pass.
template <typename Upstream>
std::vector<MinedPair> picked_pairs(const BatchTripletBackwardArgs& args,
                                    const Upstream& upstream) {
  const int64_t num_anchors = args.batch.num_anchors;
  std::vector<MinedPair> pairs;
  pairs.reserve(2 * num_anchors);
  for (int64_t a = 0; a < num_anchors; ++a) {
    if (args.positive[a] < 0 || args.negative[a] < 0) continue;
    const double weight = upstream(a) * args.slope[a];
    pairs.push_back({a, args.positive[a], args.distances[a], weight});
    pairs.push_back({a, args.negative[a], args.distances[num_anchors + a], -weight});
  }
  return pairs;
}

// "semi_hard": searched for again. Pairs without weight are left out.
template <typename Real, typename Upstream>
std::vector<MinedPair> semi_hard_pairs(const Problem<Real>& problem, const Frame& frame,
                                       const Upstream& upstream) {
  std::vector<std::vector<MinedPair>> found(problem.batch.num_anchors);
  const RowSolver solver(problem.batch.distance, problem.term);
  const auto solved = [&](int64_t t, const RowLayout& row, int64_t count, const Pick* positives,
                          const Pick* negatives) {
    const int64_t anchor = problem.labels.anchors[t];
    const double scale = upstream(anchor);
    solver.semi_hard(row, count, positives, negatives, [&](const Pick& pick, double slope) {
      if (scale * slope == 0) return;
      found[anchor].push_back({anchor, problem.labels.refs[pick.position],
                               problem.pairs.distance_of(pick.key), scale * slope});
    });
  };
  search_semi_hard(problem, frame, solved);
  std::vector<MinedPair> pairs;
  for (const auto& anchor : found) pairs.insert(pairs.end(), anchor.begin(), anchor.end());
  return pairs;
}

template <typename Stored, typename Real>
void gather(const BatchTripletBackwardArgs& args, const Pairs<Real>& pairs,
            const Embeddings<Real>& anchors, const Embeddings<Real>& refs,
            const std::vector<MinedPair>& mined, const Team& team) {
  const Gather<Stored, Real> gather(pairs, anchors, refs, mined);
  gather.anchors_to(args.grad_embeddings, args.batch.self, team);
  if (!args.batch.self) gather.refs_to(args.grad_refs, team);
}

template <typename Stored, typename Real>
void backward(const BatchTripletBackwardArgs& args) {
  const TripletBatch& batch = args.batch;
  const Team team = is_small(batch) ? Team::single() : Team::all();
  const auto upstream = [&](int64_t anchor) { return args.grad_loss(anchor) * *args.anchor_scale; };
  if (batch.mining == Mining::kHard) {
    // Needs no label order.
    const Pairs<Real> pairs(batch.distance, batch.dim);
    const Embeddings<Real> anchors(static_cast<const Stored*>(batch.embeddings), batch.num_anchors,
                                   pairs, team);
    std::optional<Embeddings<Real>> refs;
    if (!batch.self) {
      refs.emplace(static_cast<const Stored*>(batch.refs), batch.num_refs, pairs, team);
    }
    return gather<Stored>(args, pairs, anchors, refs ? *refs : anchors,
                          picked_pairs(args, upstream), team);
  }
  const Problem<Real> problem(std::type_identity<Stored>{}, batch, args.term.term(), team);
  if (const std::optional<Frame> frame = search_frame(problem)) {
    if (batch.mining == Mining::kAll) {
      const PanelPair<Real> panels(problem, *frame);
      if (can_sweep(problem, *frame, panels)) {
        AllSweep<Real> sweep(problem, *frame, panels);
        return sweep.backward(upstream, RowStore<Stored>{args.grad_embeddings, batch.dim},
                              RowStore<Stored>{args.grad_refs, batch.dim});
      }
    }
    if (batch.mining == Mining::kSemiHard && can_search_semi_hard(problem)) {
      return gather<Stored>(args, problem.pairs, problem.embeddings, problem.refs(),
                            semi_hard_pairs(problem, *frame, upstream), team);
    }
  }
  std::vector<double> grads(batch.num_anchors * batch.dim);
  std::vector<double> ref_grads(batch.self ? 0 : batch.num_refs * batch.dim);
  backward_directly(problem, upstream, grads.data(), batch.self ? grads.data() : ref_grads.data());
  const auto store = [&](void* to, const std::vector<double>& values) {
    const RowStore<Stored> row{to, batch.dim};
    for (size_t t = 0; t * batch.dim < values.size(); ++t) row(t, values.data() + t * batch.dim);
  };
  store(args.grad_embeddings, grads);
  store(args.grad_refs, ref_grads);
}

// The picks become addresses.
void check_picks(const BatchTripletBackwardArgs& args, const std::string& op) {
  for (int64_t a = 0; a < args.batch.num_anchors; ++a) {
    for (const int64_t pick : {args.positive[a], args.negative[a]}) {
      check(pick >= -1 && pick < args.batch.num_refs, op,
            ": expected positive and negative of the forward pass, got index ", pick);
    }
  }
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> batch_triplet_forward(
    const Tensor& embeddings, const Tensor& labels, const OptionalTensor& ref_embeddings,
    const OptionalTensor& ref_labels, const OptionalTensor& margin_tensor, double margin, bool soft,
    const std::string& mining, const std::string& distance, double boundary_grad,
    const std::string& reduction) {
  const BatchTripletCall call(embeddings, labels, ref_embeddings, ref_labels, margin_tensor, margin,
                              soft, mining, distance, boundary_grad, reduction);
  dispatch_embeddings(embeddings, call.op, [&](auto stored, auto real) {
    forward<decltype(stored), decltype(real)>(call.args);
  });
  return call.results();
}

std::tuple<Tensor, Tensor> batch_triplet_backward(
    const Tensor& grad_loss, const Tensor& embeddings, const Tensor& labels,
    const OptionalTensor& ref_embeddings, const OptionalTensor& ref_labels,
    const OptionalTensor& margin_tensor, double margin, bool soft, const std::string& mining,
    const std::string& distance, double boundary_grad, const Tensor& positive,
    const Tensor& negative, const Tensor& distances, const Tensor& slope,
    const Tensor& anchor_scale) {
  const BatchTripletBackwardCall call(grad_loss, embeddings, labels, ref_embeddings, ref_labels,
                                      margin_tensor, margin, soft, mining, distance, boundary_grad,
                                      positive, negative, distances, slope, anchor_scale);
  check_picks(call.args, call.op);
  dispatch_embeddings(embeddings, call.op, [&](auto stored, auto real) {
    backward<decltype(stored), decltype(real)>(call.args);
  });
  return call.results();
}

}  // namespace
}  // namespace fused_rankloss::cpu

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CPU, m) {
  m.impl("batch_triplet_forward", TORCH_BOX(&fused_rankloss::cpu::batch_triplet_forward));
  m.impl("batch_triplet_backward", TORCH_BOX(&fused_rankloss::cpu::batch_triplet_backward));
}
