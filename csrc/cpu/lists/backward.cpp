// SPDX-License-Identifier: BSD-3-Clause
//
// The op lists_backward on the CPU: one pass over the slots, in chunks, by all threads.
#include <algorithm>

#include "bind/lists_backward.h"
#include "cpu/lists/parallel.h"
#include "cpu/lists/policy.h"

namespace fused_rankloss::cpu {
namespace {

// The list that contains `slot`. Of several lists that start there, the last: the others are empty.
int64_t list_of(const Lists& lists, int64_t slot) {
  if (!lists.offsets) return slot / lists.width;
  int64_t low = 0, high = lists.num_lists - 1;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (lists.offsets[middle] <= slot) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

template <typename Stored, typename Raw>
void scale_chunk(const ListsBackwardArgs& args, int64_t begin, int64_t end) {
  Stored* out = static_cast<Stored*>(args.grad_scores);
  const Lists& lists = args.lists;
  for (int64_t list = list_of(lists, begin), slot = begin; slot < end; ++list) {
    const Range slots = lists.slots(list);
    const int64_t real_end = std::clamp(slots.end, slot, end);
    if (args.num_margins == 1 && lists.mask == nullptr) {
      // grad() with all that does not depend on the slot hoisted out of the loop.
      const double scale = args.list_scale[list], grad_output = args.grad_output(0, list);
      const Raw* raw = static_cast<const Raw*>(args.raw_grad);
      for (; slot < real_end; ++slot) {
        out[slot] = round_to<Stored>(weighted(scale, grad_output * static_cast<double>(raw[slot])));
      }
    }
    for (; slot < real_end; ++slot) {
      out[slot] = round_to<Stored>(lists.is_real(slot) ? args.grad<Raw>(slot, list) : 0.0);
    }
    const int64_t row_end = lists.offsets ? real_end : std::min((list + 1) * lists.width, end);
    for (; slot < row_end; ++slot) out[slot] = round_to<Stored>(0.0);
  }
}

void solve(const ListsBackwardCall& call) {
  const Lists& lists = call.args.lists;
  for (int64_t b = 0; b < lists.num_lists; ++b) {
    check(lists.valid(b), call.kOp, ": expected the lengths or offsets of the forward pass");
  }
  const int64_t tasks = (lists.num_slots + kReadChunk - 1) / kReadChunk;
  const ThreadTeam team = tasks > 1 ? ThreadTeam::all() : ThreadTeam::single();
  dispatch_scores(call.grad_scores->scalar_type(), call.kOp, [&](auto stored) {
    dispatch_raw_grad(call.args.raw_type, [&](auto raw) {
      team.run(tasks, [&](int64_t task, int) {
        const int64_t begin = task * kReadChunk;
        scale_chunk<decltype(stored), decltype(raw)>(call.args, begin,
                                                     std::min(begin + kReadChunk, lists.num_slots));
      });
    });
  });
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CPU, m) {
  m.impl("lists_backward", boxed<&Op<ListsBackwardCall, solve>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cpu
