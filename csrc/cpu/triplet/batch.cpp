// SPDX-License-Identifier: BSD-3-Clause
//
// The ops batch_triplet_forward and batch_triplet_backward on the CPU.
#include "cpu/triplet/batch.h"

#include <vector>

#include "bind/triplet.h"

namespace fused_rankloss::cpu::triplet {
namespace {

template <typename Stored>
void forward(const BatchTripletArgs& args) {
  using Real = row_t<Stored>;
  const ThreadTeam team = is_small(args.batch) ? ThreadTeam::single() : ThreadTeam::all();
  const Problem<Real> problem(std::type_identity<Stored>{}, args.batch, args.term.term(), team);
  ForwardPass<Real>(args, problem).run();
}

// "hard": the pairs that the forward pass picked.
template <typename GradOutput>
std::vector<MinedPair> picked_pairs(const BatchTripletBackwardArgs& args,
                                    const GradOutput& grad_output) {
  const int64_t num_anchors = args.batch.num_anchors;
  std::vector<MinedPair> pairs;
  pairs.reserve(2 * num_anchors);
  for (int64_t a = 0; a < num_anchors; ++a) {
    if (args.positive[a] < 0 || args.negative[a] < 0) continue;
    const double weight = grad_output(a) * args.slope[a];
    pairs.push_back({a, args.positive[a], args.distances[a], weight});
    pairs.push_back({a, args.negative[a], args.distances[num_anchors + a], -weight});
  }
  return pairs;
}

template <typename Stored>
void backward(const BatchTripletBackwardArgs& args) {
  using Real = row_t<Stored>;
  const TripletBatch& batch = args.batch;
  const ThreadTeam team = is_small(batch) ? ThreadTeam::single() : ThreadTeam::all();
  const auto grad_output = [&](int64_t anchor) {
    return args.grad_loss(anchor) * *args.anchor_scale;
  };
  if (batch.mining == Mining::kHard) {
    // Needs no label order.
    const Pairs<Real> pairs(batch.distance, batch.dim);
    const Embeddings<Real> anchors(static_cast<const Stored*>(batch.embeddings), batch.num_anchors,
                                   pairs, team);
    std::optional<Embeddings<Real>> refs;
    if (!batch.self) {
      refs.emplace(static_cast<const Stored*>(batch.refs), batch.num_refs, pairs, team);
    }
    return gather<Stored>(pairs, anchors, refs ? *refs : anchors, picked_pairs(args, grad_output),
                          team, args.grad_embeddings, args.grad_refs);
  }
  const Problem<Real> problem(std::type_identity<Stored>{}, batch, args.term.term(), team);
  if (const std::optional<Frame> frame = search_frame(problem)) {
    if (batch.mining == Mining::kAll) {
      const PanelPair<Real> panels(problem, *frame);
      if (can_sweep(problem, *frame, panels)) {
        AllSweep<Real> sweep(problem, *frame, panels, {.results = false, .gradients = true});
        sweep.set_grad_output(grad_output);
        sweep.run();
        return sweep.finish(1, RowStore<Stored>{args.grad_embeddings, batch.dim},
                            RowStore<Stored>{args.grad_refs, batch.dim});
      }
    }
    if (batch.mining == Mining::kSemiHard && can_search_semi_hard(problem)) {
      SemiHardPairs pairs(batch.num_anchors);
      search_semi_hard(problem, *frame,
                       [&](int64_t t, const RowLayout& row, int64_t count, const Pick* positives,
                           const Pick* negatives) {
                         pairs.add(problem, grad_output(problem.labels.anchors[t]), t, row, count,
                                   positives, negatives);
                       });
      return gather<Stored>(problem.pairs, problem.embeddings, problem.refs(), pairs.all(1), team,
                            args.grad_embeddings, args.grad_refs);
    }
  }
  differentiate_directly<Stored>(problem, grad_output, args.grad_embeddings, args.grad_refs);
}

// The picks are used as indices, so that they must be in range.
void check_picks(const BatchTripletBackwardArgs& args, const std::string& op) {
  for (int64_t a = 0; a < args.batch.num_anchors; ++a) {
    for (const int64_t pick : {args.positive[a], args.negative[a]}) {
      check(pick >= -1 && pick < args.batch.num_refs, op,
            ": expected positive and negative of the forward pass, got index ", pick);
    }
  }
}

void solve_forward(BatchTripletCall& call) {
  call.make_grads();
  dispatch_scores(call.dtype, call.op, [&](auto stored) { forward<decltype(stored)>(call.args); });
}

void solve_backward(const BatchTripletBackwardCall& call) {
  check_picks(call.args, call.op);
  dispatch_scores(call.dtype, call.op, [&](auto stored) { backward<decltype(stored)>(call.args); });
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CPU, m) {
  m.impl("batch_triplet_forward", boxed<&Op<BatchTripletCall, solve_forward>::run>());
  m.impl("batch_triplet_backward", boxed<&Op<BatchTripletBackwardCall, solve_backward>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cpu::triplet
