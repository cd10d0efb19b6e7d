// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/lists/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

#include "bind/torch.h"

namespace fused_rankloss::cpu {

int num_workers() { return static_cast<int>(torch::stable::get_num_threads()); }

namespace {

using Clock = std::chrono::steady_clock;
constexpr Clock::duration kPollEvery = std::chrono::milliseconds(50);

InterruptCheck interrupt_check = nullptr;
std::thread::id polling_thread;
Clock::time_point next_poll;  // of that thread alone

}  // namespace

void set_interrupt_check(InterruptCheck check) {
  polling_thread = std::this_thread::get_id();
  interrupt_check = check;
}

void poll_interrupts() {
  if (interrupt_check == nullptr || std::this_thread::get_id() != polling_thread) return;
  const Clock::time_point now = Clock::now();
  if (now < next_poll) return;
  next_poll = now + kPollEvery;
  interrupt_check();
}

void run_tasks(int64_t num_tasks, TaskFunction function, void* context) {
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;  // written by the worker that set `failed`
  // One range a worker, and no more workers than tasks: memory is shared out among that many.
  const int64_t workers = std::min<int64_t>(num_workers(), num_tasks);
  torch::stable::parallel_for(0, workers, 1, [&](int64_t worker, int64_t) {
    try {
      for (int64_t task = next++; task < num_tasks; task = next++) {
        function(task, static_cast<int>(worker), context);
        poll_interrupts();
      }
    } catch (...) {
      // Beyond this region its type and its text would be lost.
      if (!failed.exchange(true)) error = std::current_exception();
      next = num_tasks;
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace fused_rankloss::cpu
