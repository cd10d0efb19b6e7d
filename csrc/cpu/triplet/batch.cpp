// SPDX-License-Identifier: BSD-3-Clause
//
// The ops batch_triplet_forward and batch_triplet_backward on the CPU.
#include "cpu/triplet/batch.h"

#include <vector>

#include "bind/triplet.h"

namespace fused_rankloss::cpu::triplet {
namespace {

// Calls `body` with a value of the stored type and one of the type rows are worked on in.
template <typename Body>
void dispatch_embeddings(const Tensor& embeddings, const std::string& op, Body&& body) {
  dispatch_scores(embeddings.scalar_type(), op,
                  [&](auto stored) { body(stored, row_t<decltype(stored)>{}); });
}

template <typename Stored, typename Real>
void forward(const BatchTripletArgs& args) {
  const Team team = is_small(args.batch) ? Team::single() : Team::all();
  const Problem<Real> problem(std::type_identity<Stored>{}, args.batch, args.term.term(), team);
  ForwardPass<Real>(args, problem).run();
}

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
    return gather<Stored>(pairs, anchors, refs ? *refs : anchors, picked_pairs(args, upstream),
                          team, args.grad_embeddings, args.grad_refs);
  }
  const Problem<Real> problem(std::type_identity<Stored>{}, batch, args.term.term(), team);
  if (const std::optional<Frame> frame = search_frame(problem)) {
    if (batch.mining == Mining::kAll) {
      const PanelPair<Real> panels(problem, *frame);
      if (can_sweep(problem, *frame, panels)) {
        AllSweep<Real> sweep(problem, *frame, panels, {.results = false, .gradients = true});
        sweep.set_upstream(upstream);
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
                         pairs.add(problem, upstream(problem.labels.anchors[t]), t, row, count,
                                   positives, negatives);
                       });
      return gather<Stored>(problem.pairs, problem.embeddings, problem.refs(), pairs.all(1), team,
                            args.grad_embeddings, args.grad_refs);
    }
  }
  differentiate_directly<Stored>(problem, upstream, args.grad_embeddings, args.grad_refs);
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

BatchTripletCall::Results batch_triplet_forward(
    const Tensor& embeddings, const Tensor& labels, const OptionalTensor& ref_embeddings,
    const OptionalTensor& ref_labels, const OptionalTensor& margin_tensor, double margin, bool soft,
    const std::string& mining, const std::string& distance, double boundary_grad,
    const std::string& reduction, bool needs_grad, bool needs_mined) {
  const BatchTripletCall call(embeddings, labels, ref_embeddings, ref_labels, margin_tensor, margin,
                              soft, mining, distance, boundary_grad, reduction, needs_grad,
                              needs_mined);
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
}  // namespace fused_rankloss::cpu::triplet

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CPU, m) {
  m.impl("batch_triplet_forward",
         fused_rankloss::boxed<&fused_rankloss::cpu::triplet::batch_triplet_forward>());
  m.impl("batch_triplet_backward",
         fused_rankloss::boxed<&fused_rankloss::cpu::triplet::batch_triplet_backward>());
}
