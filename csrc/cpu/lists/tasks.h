// SPDX-License-Identifier: BSD-3-Clause
//
// The lists of a batch as tasks: long lists one after another by all threads together, short ones
// by one thread each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "common/lists.h"
#include "cpu/lists/parallel.h"
#include "cpu/lists/policy.h"

namespace fused_rankloss::cpu {

// Calls solve(team, list, memory) for every list, with memory of bytes(slots of the list) bytes.
// `allocate(bytes)` is asked once. Lists of `shared` slots or more are long.
template <typename Bytes, typename Allocate, typename Solve>
void run_lists(const Lists& lists, int64_t shared, Bytes&& bytes, Allocate&& allocate,
               Solve&& solve) {
  const Team team = Team::all(), single = Team::single();
  std::vector<Range> tasks;  // of short lists
  std::vector<int64_t> long_lists;
  int64_t longest = 0, longest_shared = 0, task_slots = kTaskSlots;
  for (int64_t b = 0; b < lists.num_lists; ++b) {
    const int64_t slots = lists.slots(b).size();
    if (slots >= shared) {
      long_lists.push_back(b);
      longest_shared = std::max(longest_shared, slots);
      task_slots = kTaskSlots;
      continue;
    }
    longest = std::max(longest, slots);
    if (task_slots >= kTaskSlots) {
      tasks.push_back({b, b});
      task_slots = 0;
    }
    tasks.back().end = b + 1;
    task_slots += slots + 1;
  }

  const int workers = std::min<int64_t>(team.size(), std::max<int64_t>(tasks.size(), 1));
  const int64_t share = (bytes(longest) + 63) / 64 * 64;
  std::byte* memory = allocate(std::max(share * workers, bytes(longest_shared)));
  for (const int64_t b : long_lists) solve(team, b, memory);
  team.run(tasks.size(), [&](int64_t task, int worker) {
    for (int64_t b = tasks[task].begin; b < tasks[task].end; ++b) {
      solve(single, b, memory + worker * share);
    }
  });
}

}  // namespace fused_rankloss::cpu
