// SPDX-License-Identifier: BSD-3-Clause
//
// The machine of the host harness: runs the threads of a block as fibers, in an order drawn from a
// seed, and knows the rules of barriers and warp-wide operations. Breaking one ends the launch with
// an Error that names the kernel's line.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fibers.h"

namespace cuda_host {

using Where = std::source_location;

inline std::string text(const Where& where) {
  const std::string path = where.file_name();
  return path.substr(path.rfind('/') + 1) + ":" + std::to_string(where.line());
}

inline bool same_place(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::strcmp(a.file_name(), b.file_name()) == 0;
}

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Dim3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

// Blocks on shared memory are poisoned through these before each block.
class Poisonable {
 public:
  virtual void poison() = 0;

 protected:
  ~Poisonable() = default;
};

class Machine {
 public:
  static constexpr int kWarpSize = 32;

  // What a lane puts into a warp-wide operation, and gets of every lane.
  struct Slot {
    alignas(16) std::array<std::byte, 16> bytes{};
  };
  using Slots = std::array<Slot, kWarpSize>;

  static Machine& get() {
    static Machine machine;
    return machine;
  }

  // Runs the blocks of a grid one after another, in random order.
  void launch(Dim3 grid, Dim3 block, std::size_t dynamic_bytes, std::uint64_t seed,
              std::function<void()> kernel) {
    random_.seed(seed);
    grid_ = grid;
    block_ = block;
    kernel_ = std::move(kernel);
    atomics = 0;
    std::vector<std::uint64_t> order(std::uint64_t{grid.x} * grid.y * grid.z);
    for (std::uint64_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random_);
    for (std::uint64_t index : order) run_block(index, dynamic_bytes);
  }

  // ---- For the code of kernels ---------------------------------------------

  Dim3 grid() const { return grid_; }
  Dim3 block() const { return block_; }
  Dim3 block_index() const { return block_index_; }
  Dim3 thread_index() const {
    const unsigned t = static_cast<unsigned>(current_);
    return {t % block_.x, t / block_.x % block_.y, t / block_.x / block_.y};
  }
  int thread() const { return current_; }
  int warp() const { return current_ / kWarpSize; }
  int lane() const { return current_ % kWarpSize; }
  int epoch() const { return epoch_; }                     // barriers passed
  int warp_epoch() const { return warps_[warp()].epoch; }  // __syncwarp passed
  std::vector<std::byte>& dynamic_shared() { return dynamic_shared_; }
  std::uint64_t blocks_run() const { return blocks_run_; }  // ever
  void add_poisonable(Poisonable* memory) { poisonables_.push_back(memory); }

  std::uint64_t atomics = 0;  // since the launch

  [[noreturn]] void fail(const Where& where, const std::string& message) {
    error_ = text(where) + ": " + message;
    Fiber::switch_to(threads_[current_].fiber, main_);
    std::abort();  // an ended launch resumes nobody
  }

  // Lets others run, if the schedule says so.
  void yield() {
    ready_.push_back(current_);
    pause();
  }

  // __syncthreads and its kin. Returns how many threads came with `predicate`.
  int barrier(const Where& where, bool predicate) {
    if (num_exited_ > 0) {
      fail(where, name(current_) +
                      " waits at a barrier that another thread has left the kernel "
                      "without reaching");
    }
    if (!barrier_waiters_.empty() && !same_place(barrier_where_, where)) {
      fail(where, "divergent barrier: " + name(current_) + " waits here, " +
                      name(barrier_waiters_[0]) + " at " + text(barrier_where_));
    }
    barrier_where_ = where;
    barrier_count_ += predicate;
    barrier_waiters_.push_back(current_);
    threads_[current_].waits_for = "a barrier";
    threads_[current_].where = where;
    if (static_cast<int>(barrier_waiters_.size()) == num_threads_) {
      for (int thread : barrier_waiters_) threads_[thread].result = barrier_count_;
      release(barrier_waiters_);
      barrier_count_ = 0;
      ++epoch_;
    }
    pause();
    return threads_[current_].result;
  }

  // Every warp-wide operation: the lanes of `mask` each bring a slot and get everybody's.
  const Slots& exchange(unsigned mask, const Slot& slot, const char* what, const Where& where) {
    Warp& warp = warps_[this->warp()];
    if ((mask >> lane() & 1u) == 0) {
      fail(where, name(current_) + " calls " + what + " with a mask that leaves itself out");
    }
    Meeting& meeting = warp.meetings[mask];
    if (!meeting.waiters.empty() && !same_place(meeting.where, where)) {
      fail(where, name(current_) + " calls " + what + " here, but " + name(meeting.waiters[0]) +
                      " of its mask waits in " + threads_[meeting.waiters[0]].waits_for + " at " +
                      text(meeting.where));
    }
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const int other = this->warp() * kWarpSize + lane;
      if ((mask >> lane & 1u) && (other >= num_threads_ || threads_[other].exited)) {
        fail(where, name(current_) + " calls " + what + " with a mask that names lane " +
                        std::to_string(lane) + ", which does not exist or has left the kernel");
      }
    }
    meeting.where = where;
    meeting.slots[lane()] = slot;
    meeting.waiters.push_back(current_);
    threads_[current_].waits_for = what;
    threads_[current_].where = where;
    if (static_cast<int>(meeting.waiters.size()) == __builtin_popcount(mask)) {
      for (int thread : meeting.waiters) threads_[thread].inbox = meeting.slots;
      release(meeting.waiters);
      meeting.slots = {};
    }
    pause();
    return threads_[current_].inbox;
  }

  // __syncwarp also orders the memory of its lanes.
  void sync_warp(unsigned mask, const Where& where) {
    exchange(mask, {}, "__syncwarp", where);
    Warp& warp = warps_[this->warp()];
    // The first lane to go on opens the next epoch for all of them.
    if (mask == 0xffffffffu && warp.synced++ % kWarpSize == 0) ++warp.epoch;
  }

 private:
  struct Thread {
    Fiber fiber;
    bool exited = false;
    int result = 0;
    Slots inbox;
    const char* waits_for = "";
    Where where;
  };
  struct Meeting {
    std::vector<int> waiters;
    Slots slots;
    Where where;
  };
  struct Warp {
    std::map<unsigned, Meeting> meetings;  // by mask
    int epoch = 0;
    int synced = 0;
  };

  static std::string name(int thread) { return "thread " + std::to_string(thread); }

  void release(std::vector<int>& waiters) {
    ready_.insert(ready_.end(), waiters.begin(), waiters.end());
    waiters.clear();
  }

  void pause() { Fiber::switch_to(threads_[current_].fiber, main_); }

  static void enter() {
    Machine& machine = get();
    machine.threads_[machine.current_].fiber.arrived();
    machine.kernel_();
    machine.exit_thread();
  }

  [[noreturn]] void exit_thread() {
    threads_[current_].exited = true;
    ++num_exited_;
    if (!barrier_waiters_.empty()) {
      fail(barrier_where_, "divergent barrier: " + name(barrier_waiters_[0]) + " waits here, " +
                               name(current_) + " has left the kernel");
    }
    pause();
    std::abort();
  }

  void run_block(std::uint64_t index, std::size_t dynamic_bytes) {
    block_index_ = {static_cast<unsigned>(index % grid_.x),
                    static_cast<unsigned>(index / grid_.x % grid_.y),
                    static_cast<unsigned>(index / grid_.x / grid_.y)};
    num_threads_ = static_cast<int>(block_.x * block_.y * block_.z);
    num_exited_ = barrier_count_ = epoch_ = 0;
    barrier_waiters_.clear();
    warps_.assign((num_threads_ + kWarpSize - 1) / kWarpSize, {});
    if (static_cast<int>(threads_.size()) < num_threads_) threads_.resize(num_threads_);
    ready_.clear();
    for (int t = 0; t < num_threads_; ++t) {
      threads_[t].exited = false;
      threads_[t].fiber.prepare(&Machine::enter);
      ready_.push_back(t);
    }
    // A fresh allocation of the exact size, so that AddressSanitizer sees an overrun.
    std::vector<std::byte>(dynamic_bytes, std::byte{0xff}).swap(dynamic_shared_);
    for (Poisonable* memory : poisonables_) memory->poison();
    error_.clear();
    ++blocks_run_;

    while (!ready_.empty() && error_.empty()) {
      std::swap(ready_[random_() % ready_.size()], ready_.back());
      current_ = ready_.back();
      ready_.pop_back();
      Fiber::switch_to(main_, threads_[current_].fiber);
    }
    if (error_.empty() && num_exited_ < num_threads_) error_ = describe_deadlock();
    if (!error_.empty()) throw Error(error_);
  }

  std::string describe_deadlock() const {
    std::string message = "deadlock:";
    int shown = 0;
    for (int t = 0; t < num_threads_ && shown < 4; ++t) {
      if (threads_[t].exited) continue;
      message += (shown++ ? "; " : " ") + name(t) + " waits in " + threads_[t].waits_for + " at " +
                 text(threads_[t].where);
    }
    return message;
  }

  std::mt19937_64 random_;
  Dim3 grid_, block_, block_index_;
  std::function<void()> kernel_;
  std::vector<std::byte> dynamic_shared_;
  std::vector<Poisonable*> poisonables_;

  Fiber main_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<int> ready_;
  int current_ = 0;
  int num_threads_ = 0;
  int num_exited_ = 0;
  int epoch_ = 0;
  std::uint64_t blocks_run_ = 0;
  std::string error_;

  std::vector<int> barrier_waiters_;
  Where barrier_where_;
  int barrier_count_ = 0;
};

}  // namespace cuda_host
