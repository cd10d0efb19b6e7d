// SPDX-License-Identifier: BSD-3-Clause
//
// A list's items in blocks of kBlock and stretches of kReadStretch, counted in items: sums over
// blocks and stretches are the same whatever padding lies between the items.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/lists/label_order.h"
#include "cpu/lists/policy.h"

namespace fused_rankloss::cpu::pairwise {

template <typename Score>
class ItemBlocks {
 public:
  // Slots are positions in a block: fewer than 2^31 of them.
  ItemBlocks(const ListReader<Score>& reader, Range slots, int64_t num_items, const Team& team)
      : reader_(reader), slots_(slots), num_items_(num_items) {
    if (is_dense()) return;
    starts_.resize(num_stretches(slots.size()) + 1);
    team.run(num_stretches(slots.size()), [&](int64_t task, int) {
      const Range range = stretch(task, slots.size());
      for_blocks(reader, slots.begin, range.begin, range.end, LabelKeys::kIntegers,
                 [&](const Block<Score>& block, int64_t) { starts_[task + 1] += block.size; });
    });
    for (size_t task = 1; task < starts_.size(); ++task) starts_[task] += starts_[task - 1];
  }

  int64_t num_stretches_of_items() const { return num_stretches(num_items_); }

  // Calls body(block, slot) for the blocks of a stretch of items; positions count from `slot`.
  template <typename Body>
  void visit(int64_t task, Body&& body) const {
    const Range range = stretch(task, num_items_);
    if (is_dense()) {
      for_blocks(reader_, slots_.begin, range.begin, range.end, LabelKeys::kIntegers, body);
    } else {
      visit_between_padding(range, body);
    }
  }

 private:
  bool is_dense() const { return num_items_ == slots_.size(); }

  template <typename Body>
  void visit_between_padding(Range items, Body&& body) const {
    const auto next = std::upper_bound(starts_.begin(), starts_.end(), items.begin);
    const int64_t first = next - starts_.begin() - 1;
    int64_t skipped = items.begin - starts_[first], left = items.size();
    Block<Score> in, out;
    for (int64_t slot = first * kReadStretch; left > 0; slot += kBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kBlock, slots_.size() - slot));
      reader_.read(slots_.begin + slot, count, LabelKeys::kIntegers, in);
      const int64_t skip = std::min<int64_t>(skipped, in.size);
      skipped -= skip;
      for (int64_t t = skip; t < in.size && left > 0; ++t) {
        out.position[out.size] = static_cast<int32_t>(slot + in.position[t]);
        out.score[out.size] = in.score[t];
        out.label[out.size] = in.label[t];
        ++out.size;
        --left;
        if (out.size < kBlock && left > 0) continue;
        body(out, 0);
        out.size = 0;
      }
    }
  }

  const ListReader<Score>& reader_;
  const Range slots_;
  const int64_t num_items_;
  std::vector<int64_t> starts_;  // first item of each stretch of slots, where there is padding
};

}  // namespace fused_rankloss::cpu::pairwise
