// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of a lambda loss over long lists in launch order, and their workspace:
//
//   lambda_prepare_kernel   sort keys and slots of all items; poisoned lists; up to 8 distinct
//                           labels; tables by rank
//   radix sort              by score; for several lists, then a stable sort by list
//   lambda_rank_kernel      makes RankedLists (ranked_lists.cuh)
//   the pairs               lambda_scan_kernel (scan.cuh) if weights factor, and to count the
//                           pairs in the right order; otherwise lambda_pairs_kernel and
//                           lambda_chunks_kernel
//   lambda_finish_kernel    writes the results
//
// Memory  about 120 bytes per slot for fp32 scores, less if the scheme uses no gains. The pair
//         kernel reads only 48 bytes of that per column and block.
#pragma once

#include <algorithm>

#include "common/workspace.h"
#include "cuda/lambda/launchers.h"
#include "cuda/lambda/long_finish.cuh"
#include "cuda/lambda/long_pairs.cuh"
#include "cuda/lambda/long_prepare.cuh"
#include "cuda/lambda/long_rank.cuh"

namespace fused_rankloss::cuda::lambda {

template <typename Real>
struct LambdaLongLayout {
  LambdaLongParams<Real> params;
  int64_t zero_bytes;  // to be zeroed, from params.grades on
};

// `most_lists`: upper bound on the number of long lists.
template <typename Real>
LambdaLongLayout<Real> lay_out_long_lambda(const LambdaArgs& args, int64_t most_lists, bool scans,
                                           Workspace& workspace) {
  const int64_t slots = args.lists.num_slots;
  const int64_t tiles = (slots + kScanTile - 1) / kScanTile, size = tiles * kScanTile;
  LambdaLongLayout<Real> layout{};
  LambdaLongParams<Real>& params = layout.params;
  params.args = args;
  params.longest = longest_list(args.lists);
  params.grades = workspace.take<GradeTable>(1);
  params.table = workspace.take<LongListTable>(1);
  params.facts = workspace.take<LambdaListFacts>(args.lists.num_lists);
  params.sums = workspace.take<PairSums>(args.lists.num_lists);
  if (params.wants_statistics()) {
    params.ordered = workspace.take<OrderedPairs>(args.lists.num_lists);
  }
  layout.zero_bytes = workspace.bytes();
  for (auto& order : params.orders) {
    order.keys = workspace.take<ScoreKey<Real>>(size);
    order.slots = workspace.take<uint32_t>(size);
    order.ranks = workspace.take<uint32_t>(size);
  }
  params.sort_keys = workspace.take<uint64_t>(size);
  for (uint32_t*& places : params.places) places = workspace.take<uint32_t>(size);
  params.batch_ranks = workspace.take<uint32_t>(size);
  params.label_ranks = workspace.take<uint32_t>(size);
  params.scores = workspace.take<Real>(size);
  for (double*& weights : params.weights) weights = workspace.take<double>(size);
  if (params.reads_gains() || args.scheme == Scheme::kArp) {
    params.gains = workspace.take<double>(size);
  }
  if (params.reads_gains()) params.rank_discounts = workspace.take<double>(params.longest);
  if (args.weighs_gains()) params.pair_discounts = workspace.take<double>(size);
  if (args.scheme == Scheme::kNdcgLoss2 || args.scheme == Scheme::kNdcgLoss2pp) {
    params.deltas = workspace.take<double>(params.longest + 1);
  }
  params.segments.size = slots;
  params.words = workspace.take<uint32_t>(GridRadixSort::workspace_words(tiles) + tiles);
  params.lists = workspace.take<LongList>(most_lists);
  params.tiles = workspace.take<ListTotals>(slots / kScanTile + most_lists);
  params.label_changes = workspace.take<uint32_t>(slots / kScanTile + most_lists);
  if (args.raw_grad != nullptr) params.gradients = workspace.take<double>(size);
  if (scans) return layout;
  params.chunk_sums = workspace.take<PairSums>(PairChunks::most_chunks(slots, most_lists));
  if (args.raw_grad != nullptr) {
    params.partial_gradients = workspace.take<double>(PairChunks::most_partials(slots));
  }
  return layout;
}

// Launches the kernels that enumerate the pairs.
template <class Queue, typename Real>
void run_direct_pairs(Queue& queue, const LambdaLongParams<Real>& params, int64_t most_lists) {
  const int64_t chunks = PairChunks::most_chunks(params.args.lists.num_slots, most_lists);
  dispatch_lambda_term<Real>(params.args.pair_loss, [&](auto loss) {
    queue.launch_resident(chunks, kPairThreads, lambda_pairs_kernel<decltype(loss), Real>, params);
  });
  queue.launch_resident(most_lists, kPairThreads, lambda_chunks_kernel<Real>, params);
}

template <typename Real, class Queue>
void run_long_lambda_of(Queue& queue, const LambdaArgs& args, const uint32_t* weight_exponents,
                        const ListPartials& partials, bool scans) {
  const int64_t tiles = (args.lists.num_slots + kScanTile - 1) / kScanTile;
  const int64_t most_lists =
      std::min(args.lists.num_lists, args.lists.num_slots / (partials.crossover + 1));
  auto [params, zero_bytes] = queue.workspace([&](Workspace& workspace) {
    return lay_out_long_lambda<Real>(args, most_lists, scans, workspace);
  });
  params.weight_exponents = weight_exponents;
  params.partials = partials;
  queue.zero(reinterpret_cast<char*>(params.grades), zero_bytes);
  queue.launch(tiles, kScanThreads, lambda_prepare_kernel<Real>, params);
  launch_slot_sorts(queue, params);
  queue.launch_cooperative(tiles, kScanThreads, lambda_rank_kernel<Real>, params);
  if (!scans) run_direct_pairs(queue, params, most_lists);
  if (scans || params.ordered != nullptr) {
    run_lambda_scan(queue, args, most_lists, scans, params.ranked_lists(), params.ordered);
  }
  queue.launch_cooperative(tiles, kScanThreads, lambda_finish_kernel<Real>, params);
}

template <class Queue>
void run_long_lambda(Queue& queue, const LambdaArgs& args, const uint32_t* weight_exponents,
                     const ListPartials& partials, bool scans) {
  if (args.score_type == ScoreType::kDouble) {
    run_long_lambda_of<double>(queue, args, weight_exponents, partials, scans);
  } else {
    run_long_lambda_of<float>(queue, args, weight_exponents, partials, scans);
  }
}

}  // namespace fused_rankloss::cuda::lambda
