// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/parallel.h"

#include <algorithm>
#include <atomic>

#include "common/torch.h"

namespace fused_rankloss::cpu {

int num_workers() { return static_cast<int>(torch::stable::get_num_threads()); }

void run_tasks(int64_t num_tasks, TaskFunction function, void* context) {
  std::atomic<int64_t> next{0};
  // One range a worker, and no more workers than tasks: memory is shared out among that many.
  const int64_t workers = std::min<int64_t>(num_workers(), num_tasks);
  torch::stable::parallel_for(0, workers, 1, [&](int64_t worker, int64_t) {
    for (int64_t task = next++; task < num_tasks; task = next++) {
      function(task, static_cast<int>(worker), context);
    }
  });
}

}  // namespace fused_rankloss::cpu
