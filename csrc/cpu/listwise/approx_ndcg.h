// SPDX-License-Identifier: BSD-3-Clause
//
// ApproxNDCG over one list, with gradient: -sum_i w_i g_i / log2(1 + r_i) with soft ranks
// r_i = 1 + sum_j sigmoid((s_j - s_i) / T), see soft_ranks.h. g are gains over the maximal DCG.
//
// Everything is fp64 and in the order of the scores, by one thread; memory is O(n).
//
// Source: Qin et al., "A general approximation framework for direct optimization of information
// retrieval measures" (2010).
#pragma once

#include <cmath>

#include "args/listwise.h"
#include "cpu/lists/ranked_list.h"
#include "cpu/lists/results.h"
#include "cpu/listwise/soft_ranks.h"
#include "losses/listwise_terms.h"

namespace fused_rankloss::cpu::listwise {

template <typename Score>
class ApproxNdcgList {
 public:
  ApproxNdcgList(const ListwiseArgs& args, const ListReader<Score>& reader, std::byte* memory,
                 int64_t slots)
      : ApproxNdcgList(args, reader, Workspace(memory), slots) {}

  static int64_t workspace_bytes(const ListwiseArgs& args, const ListReader<Score>& reader,
                                 int64_t slots) {
    return ApproxNdcgList(args, reader, Workspace(), slots).workspace_.bytes();
  }

  ListResult solve(int64_t b, const Team& team) {
    const Range slots = args_.lists.slots(b);
    clear_raw_grad(args_, b);
    if (!list_.read(reader_, slots, args_.label_type, team) || !list_.finite ||
        !list_.read_gains(args_.gain, args_.gains, slots.begin)) {
      poison_raw_grad(args_, b);
      return {std::nan(""), 0, true};
    }
    const int64_t size = list_.size;
    for (int64_t r = 0; r < size; ++r) factors_[r] = log2_discount(r + 1);
    const double maximum = max_dcg(list_, factors_, size, args_.gains == nullptr, terms_);
    if (!(maximum > 0)) return {};
    const SoftRanks soft{list_.score, size, args_.temperature, kWide};
    double* ranks = terms_;
    soft.ranks_to(ranks);
    ListResult result{0, 1, false};
    for (int64_t r = 0; r < size; ++r) {
      const auto term = SoftRankTerm::of(list_.weight[r] * list_.gain[r] / maximum, ranks[r]);
      result.value += term.value;
      ranks[r] = term.slope;
    }
    if (args_.raw_grad != nullptr) {
      soft.add_gradients(ranks, list_.grad);
      visit_raw_grad(args_, slots.begin, [&](auto* grad) {
        using Real = std::remove_pointer_t<decltype(grad)>;
        for (int64_t r = 0; r < size; ++r) {
          grad[list_.position[r]] = static_cast<Real>(list_.grad[r] / args_.temperature);
        }
      });
    }
    return result;
  }

 private:
  static constexpr bool kWide = std::is_same_v<Score, double>;

  ApproxNdcgList(const ListwiseArgs& args, const ListReader<Score>& reader, Workspace workspace,
                 int64_t slots)
      : args_(args),
        reader_(reader),
        workspace_(workspace),
        list_(workspace_, slots),
        terms_(workspace_.take<double>(slots)),
        factors_(workspace_.take<double>(slots)) {}

  const ListwiseArgs& args_;
  const ListReader<Score>& reader_;
  Workspace workspace_;
  RankedList<Score> list_;
  double* terms_;
  double* factors_;
};

}  // namespace fused_rankloss::cpu::listwise
