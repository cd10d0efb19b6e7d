// SPDX-License-Identifier: BSD-3-Clause
#include "cpu/lists/parallel.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

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

// ---- Threads ---------------------------------------------------------------

namespace {

// How long a thread without work looks for more before it sleeps. Calls are series of short
// regions, and waking a thread takes some 10 microseconds.
constexpr Clock::duration kLookFor = std::chrono::microseconds(50);

// The tasks of one call. The fields that change are guarded by the pool's mutex, but `next`.
struct Job {
  int64_t num_tasks;
  TaskFunction function;
  void* context;
  int max_workers;
  int workers = 1;  // that have joined; the caller is number 0
  int busy = 0;     // helpers that have not left yet
  std::atomic<int64_t> next{0};
  std::exception_ptr error{};  // the first one

  bool wants_helpers() const { return workers < max_workers && next < num_tasks; }
};

class Pool {
 public:
  void run(Job& job) {
    {
      const std::lock_guard lock(mutex_);
      add_helpers(job.max_workers - 1);
      jobs_.push_back(&job);
      open_.store(true, std::memory_order_relaxed);
    }
    wake();
    work(job, 0);
    std::unique_lock lock(mutex_);
    jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &job));
    open_.store(!jobs_.empty(), std::memory_order_relaxed);
    while (job.busy > 0) {
      // The last task of a helper is short, but for one that lost its core.
      for (const auto end = Clock::now() + kLookFor; job.busy > 0 && Clock::now() < end;) {
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
      }
      if (job.busy > 0) left_.wait(lock);
    }
  }

 private:
  // Tasks until there are none left, or one has thrown.
  void work(Job& job, int worker) {
    try {
      for (int64_t task = job.next++; task < job.num_tasks; task = job.next++) {
        job.function(task, worker, job.context);
        poll_interrupts();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!job.error) job.error = std::current_exception();
      job.next = job.num_tasks;
    }
  }

  // Two threads at a time, each of which wakes two more: the caller is not to wake 100 of them.
  void wake() {
    work_.notify_one();
    work_.notify_one();
  }

  void add_helpers(int wanted) {
    while (helpers_ < wanted) {
      try {
        std::thread([this] { help(); }).detach();
      } catch (const std::system_error&) {
        return;  // no more threads to be had: those there are do the work
      }
      ++helpers_;
    }
  }

  [[noreturn]] void help() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are for the threads of the program
    std::unique_lock lock(mutex_);
    for (;;) {
      Job* const job = find();
      if (job == nullptr) {
        lock.unlock();
        for (const auto end = Clock::now() + kLookFor; !open_ && Clock::now() < end;) {
          std::this_thread::yield();
        }
        lock.lock();
        if (find() == nullptr) work_.wait(lock);
        continue;
      }
      const int worker = job->workers++;
      ++job->busy;
      lock.unlock();
      wake();
      work(*job, worker);
      lock.lock();
      if (--job->busy == 0) left_.notify_all();
    }
  }

  Job* find() const {
    const auto found = std::find_if(jobs_.begin(), jobs_.end(),
                                    [](const Job* job) { return job->wants_helpers(); });
    return found == jobs_.end() ? nullptr : *found;
  }

  std::mutex mutex_;
  std::condition_variable work_;  // there is a job
  std::condition_variable left_;  // a job has no busy helpers
  std::vector<Job*> jobs_;        // of callers on several threads
  std::atomic<bool> open_{false};
  int helpers_ = 0;
};

// Never destroyed: its threads sleep until the process ends.
Pool* pool = nullptr;

// A forked child has none of its parent's threads, and perhaps a locked mutex.
void make_pool() { pool = new Pool; }

}  // namespace

void run_tasks(int64_t num_tasks, TaskFunction function, void* context) {
  static const bool made = [] {
    make_pool();
    return pthread_atfork(nullptr, nullptr, make_pool) == 0;
  }();
  static_cast<void>(made);
  Job job{.num_tasks = num_tasks,
          .function = function,
          .context = context,
          .max_workers = static_cast<int>(std::min<int64_t>(num_workers(), num_tasks))};
  pool->run(job);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace fused_rankloss::cpu
