// SPDX-License-Identifier: BSD-3-Clause
//
// Parallel work as numbered tasks. Workers fetch the next task when they are free, so that ragged
// work balances itself. Every task writes only its own results: neither the schedule nor the number
// of threads changes a result.
//
// The threads are ours, not OpenMP's: a parallel region of OpenMP ends when every thread of its
// team has arrived, and on a busy machine one of them waits for a core for milliseconds. Here the
// caller runs tasks, too, and waits only for tasks that a helper has begun.
#pragma once

#include <cstdint>
#include <type_traits>

namespace fused_rankloss::cpu {

// The number of threads that torch would use for the calling thread's parallel work.
int num_workers();

// Polls for signals (Ctrl-C), so that their handlers run: throws what `check` throws. It acts only
// on the thread that called set_interrupt_check, and is cheap enough to call between tasks of
// microseconds.
using InterruptCheck = void (*)();
void set_interrupt_check(InterruptCheck check);  // on the thread that is to run it
void poll_interrupts();

// Calls function(task, worker, context) for every task, with worker < min(num_workers(),
// num_tasks). Once a task has thrown, no other task starts, and its exception is rethrown here.
using TaskFunction = void (*)(int64_t task, int worker, void* context);
void run_tasks(int64_t num_tasks, TaskFunction function, void* context);

// Runs `body(task, worker)` for every task, on all threads (all) or on the calling one (single), as
// inside a task. Exceptions of a body reach the caller.
class ThreadTeam {
 public:
  static ThreadTeam all() { return ThreadTeam(num_workers()); }
  static ThreadTeam single() { return ThreadTeam(1); }

  int size() const { return size_; }

  template <typename Body>
  void run(int64_t num_tasks, Body&& body) const {
    if (size_ == 1 || num_tasks <= 1) {
      for (int64_t task = 0; task < num_tasks; ++task) {
        if (task > 0) poll_interrupts();
        body(task, 0);
      }
      return;
    }
    run_tasks(
        num_tasks,
        [](int64_t task, int worker, void* context) {
          (*static_cast<std::remove_reference_t<Body>*>(context))(task, worker);
        },
        &body);
  }

 private:
  explicit ThreadTeam(int size) : size_(size) {}
  int size_;
};

}  // namespace fused_rankloss::cpu
