// SPDX-License-Identifier: BSD-3-Clause
//
// The scan of lambda losses over ranked lists that the test makes.
#include "bind/torch.h"
#include "cuda/lambda/scan.cuh"
#include "harness/host_queue.h"

namespace fused_rankloss::host {

using namespace cuda;
using namespace cuda::lambda;

namespace {

HostDeviceAttributes attributes;

template <typename T>
T* data_of(const Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

LambdaArgs args_of(int64_t positions, int64_t num_lists, int64_t scheme, int64_t pair_loss,
                   double sigma, int64_t k, int64_t truncation) {
  LambdaArgs args;
  args.lists.num_slots = positions;
  args.lists.num_lists = num_lists;
  args.scheme = static_cast<Scheme>(scheme);
  args.pair_loss = static_cast<PairLoss>(pair_loss);
  args.sigma = sigma;
  args.k = k;
  args.truncation = static_cast<Truncation>(truncation);
  return args;
}

template <typename Real>
void solve(LambdaArgs args, const Tensor& scores, const Tensor& label_ranks,
           const OptionalTensor& gains, const OptionalTensor& discounts, const Tensor& weights,
           const Tensor& table, int64_t num_grades, const Tensor& gradients, const Tensor& sums,
           const OptionalTensor& ordered) {
  const int64_t positions = scores.numel();
  std::vector<LongList> lists(static_cast<std::size_t>(table.size(0)));
  std::vector<int64_t> offsets(static_cast<std::size_t>(args.lists.num_lists) + 1, positions);
  offsets[0] = 0;
  int64_t num_tiles = 0;
  for (std::size_t at = 0; at < lists.size(); ++at) {
    const int64_t* row = data_of<int64_t>(table) + 4 * at;
    lists[at] = {row[0], row[1], row[2], row[3], num_tiles, 0, 0};
    num_tiles += (row[2] + kScanTile - 1) / kScanTile;
    offsets[row[0]] = row[1];
    offsets[row[0] + 1] = row[1] + row[2];
  }
  LongListTable long_lists{lists.data(), static_cast<int64_t>(lists.size()), num_tiles, 0,
                           static_cast<uint32_t>(num_grades)};
  std::vector<uint32_t> ranks(static_cast<std::size_t>(positions));
  for (int64_t p = 0; p < positions; ++p) {
    ranks[p] = static_cast<uint32_t>(data_of<int64_t>(label_ranks)[p]);
  }
  args.lists.offsets = {offsets.data(), true};
  RankedLists<Real> items{};
  items.lists = args.lists;
  items.size = positions;
  items.long_lists = &long_lists;
  items.scores = data_of<Real>(scores);
  items.label_ranks = ranks.data();
  items.gains = gains ? data_of<double>(*gains) : nullptr;
  items.discounts = discounts ? data_of<double>(*discounts) : nullptr;
  items.more_weights = data_of<double>(weights);
  items.less_weights = data_of<double>(weights) + positions;
  if (gradients.numel() > 0) items.gradients = data_of<double>(gradients);
  items.sums = reinterpret_cast<PairSums*>(data_of<double>(sums));
  HostQueue queue("lambda_scan", attributes);
  run_lambda_scan(queue, args, static_cast<int64_t>(lists.size()), scan_factors(args), items,
                  ordered ? reinterpret_cast<OrderedPairs*>(data_of<int64_t>(*ordered)) : nullptr);
}

// Adds to `gradients`, unless it is empty, stores `sums` [lists, 2], and adds to `ordered`
// [lists, 2].
void lambda_scan(const Tensor& scores, const Tensor& label_ranks, const OptionalTensor& gains,
                 const OptionalTensor& discounts, const Tensor& weights, const Tensor& table,
                 int64_t num_grades, int64_t scheme, int64_t pair_loss, double sigma, int64_t k,
                 int64_t truncation, const Tensor& gradients, const Tensor& sums,
                 const OptionalTensor& ordered) {
  const LambdaArgs args =
      args_of(scores.numel(), sums.size(0), scheme, pair_loss, sigma, k, truncation);
  if (scores.scalar_type() == ScalarType::Double) {
    solve<double>(args, scores, label_ranks, gains, discounts, weights, table, num_grades,
                  gradients, sums, ordered);
  } else {
    solve<float>(args, scores, label_ranks, gains, discounts, weights, table, num_grades, gradients,
                 sums, ordered);
  }
}

bool factors(int64_t scheme, int64_t pair_loss, int64_t k, bool has_gains, bool has_discounts,
             bool score_normalization) {
  LambdaArgs args = args_of(100, 1, scheme, pair_loss, 1, k, 0);
  const double number = 0;
  if (has_gains) args.gains = &number;
  if (has_discounts) args.discounts = &number;
  args.score_normalization = score_normalization;
  return scan_factors(args);
}

void set_seed(int64_t value) { attributes.seed = value; }
void set_blocks(int64_t value) { attributes.resident_blocks = value; }

STABLE_TORCH_LIBRARY(fused_rankloss_lambda_scan_host, m) {
  m.def(
      "lambda_scan(Tensor scores, Tensor label_ranks, Tensor? gains, Tensor? discounts, "
      "Tensor weights, Tensor table, int num_grades, int scheme, int pair_loss, float sigma, "
      "int k, int truncation, Tensor(a!) gradients, Tensor(b!) sums, Tensor(c!)? ordered) -> ()");
  m.def(
      "factors(int scheme, int pair_loss, int k, bool has_gains, bool has_discounts, "
      "bool score_normalization) -> bool");
  m.def("set_seed(int seed) -> ()");
  m.def("set_blocks(int blocks) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_lambda_scan_host, CompositeExplicitAutograd, m) {
  m.impl("lambda_scan", boxed<&lambda_scan>());
  m.impl("factors", boxed<&factors>());
  m.impl("set_seed", boxed<&set_seed>());
  m.impl("set_blocks", boxed<&set_blocks>());
}

}  // namespace
}  // namespace fused_rankloss::host
