// SPDX-License-Identifier: BSD-3-Clause
//
// Work for several threads as numbered tasks. Workers draw the next task when they are free, so
// ragged work balances itself; since every task writes only its own results, neither the draw nor
// the number of threads shows in a result.
#pragma once

#include <cstdint>
#include <type_traits>

namespace fused_rankloss::cpu {

// Threads that torch would use for the calling thread's parallel work.
int num_workers();

// Lets the caller's signal handlers run, now and then, on the thread that was named: throws what
// `check` throws. Cheap enough to be asked between tasks of microseconds.
using InterruptCheck = void (*)();
void set_interrupt_check(InterruptCheck check);  // on the thread that it is to run on
void poll_interrupts();

// Calls function(task, worker, context) for every task, with worker < min(num_workers(),
// num_tasks). Once a task has thrown, no other is begun, and what it threw is thrown here.
using TaskFunction = void (*)(int64_t task, int worker, void* context);
void run_tasks(int64_t num_tasks, TaskFunction function, void* context);

// Runs `body(task, worker)` for every task on all threads, or on this one when it is told to, as
// inside a task. What a body throws arrives at the caller.
class Team {
 public:
  static Team all() { return Team(num_workers()); }
  static Team single() { return Team(1); }

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
  explicit Team(int size) : size_(size) {}
  int size_;
};

}  // namespace fused_rankloss::cpu
