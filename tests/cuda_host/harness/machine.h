// SPDX-License-Identifier: BSD-3-Clause
//
// The machine of the host harness: runs the threads of a block, or of all blocks of a cooperative
// launch, as fibers, in an order drawn from a seed, and knows the rules of barriers and warp-wide
// operations. Breaking one ends the launch with an Error that names the kernel's line.
//
// Half of the seeds draw the next thread among all that can go on, which keeps warps close
// together. The other half mostly resume the thread that came last. A warp then runs until a
// barrier stops it while others have not begun, which exposes missing waits.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "harness/fibers.h"

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

// Shared memory is poisoned through these before blocks run, for all blocks that run concurrently.
class Poisonable {
 public:
  virtual void poison(int num_blocks) = 0;

 protected:
  ~Poisonable() = default;
};

class Machine {
 public:
  static constexpr int kWarpSize = 32;
  static constexpr int kGroupSize = 128;  // of a warpgroup

  // What a lane puts into a warp-wide operation, and gets of every lane.
  struct Slot {
    alignas(16) std::array<std::byte, 16> bytes{};
  };
  using Slots = std::array<Slot, kWarpSize>;

  static Machine& get() {
    static Machine machine;
    return machine;
  }

  // Runs the blocks of a grid one after another, in random order, or all of them side by side.
  void launch(Dim3 grid, Dim3 block, std::size_t dynamic_bytes, std::uint64_t seed, bool together,
              std::function<void()> kernel) {
    random_.seed(seed);
    runs_ahead_ = random_() % 2 != 0;
    grid_ = grid;
    block_ = block;
    together_ = together;
    kernel_ = std::move(kernel);
    atomics = 0;
    const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
    std::vector<std::uint64_t> order(blocks);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    if (together) {
      run_blocks(order, dynamic_bytes);
    } else {
      for (std::uint64_t index : order) run_blocks({index}, dynamic_bytes);
    }
  }

  // ---- For the code of kernels ---------------------------------------------

  Dim3 grid() const { return grid_; }
  Dim3 block() const { return block_; }
  Dim3 block_index() const { return own_block().index; }
  Dim3 thread_index() const {
    const unsigned t = static_cast<unsigned>(thread());
    return {t % block_.x, t / block_.x % block_.y, t / block_.x / block_.y};
  }
  int resident_block() const { return current_ / num_threads_; }
  int resident_blocks() const { return static_cast<int>(blocks_.size()); }
  int fiber() const { return current_; }  // of all threads of these blocks
  int thread() const { return current_ % num_threads_; }
  int warp() const { return thread() / kWarpSize; }
  int lane() const { return thread() % kWarpSize; }
  int epoch() const { return own_block().epoch; }      // barriers passed
  int warp_epoch() const { return own_warp().epoch; }  // __syncwarp passed
  int group() const { return thread() / kGroupSize; }
  int group_epoch() const { return own_block().groups[group()].epoch; }  // group barriers passed
  std::vector<std::byte>& dynamic_shared() { return own_block().dynamic_shared; }
  std::uint64_t blocks_run() const { return blocks_run_; }  // ever
  void add_poisonable(Poisonable* memory) {
    poisonables_.push_back(memory);
    memory->poison(static_cast<int>(blocks_.size()));
  }

  std::uint64_t atomics = 0;  // since the launch

  [[noreturn]] void fail(const Where& where, const std::string& message) {
    error_ = text(where) + ": " + message;
    Fiber::switch_to(threads_[current_].fiber, main_);
    std::abort();  // an ended launch resumes no thread
  }

  // Lets others run, if the schedule says so.
  void yield() {
    ready_.push_back(current_);
    pause();
  }

  // Waits until another thread calls wake(): at what, where.
  void park(const char* what, const Where& where) {
    threads_[current_].waits_for = what;
    threads_[current_].where = where;
    pause();
  }
  void wake(int fiber) { ready_.push_back(fiber); }

  // What hardware does beside the threads, some time from now. It may wake(), but not fail().
  void later(std::function<void()> event) { events_.push_back(std::move(event)); }

  // The barrier of a warpgroup.
  void group_barrier(const Where& where) {
    Group& own = own_block().groups[group()];
    if (meet(own.barrier, kGroupSize, "a barrier of its warpgroup", where)) {
      ++own.epoch;
      release(own.barrier.waiters);
    }
    pause();
  }

  // __syncthreads and its kin. Returns how many threads came with `predicate`.
  int barrier(const Where& where, bool predicate) {
    Block& block = own_block();
    if (block.num_exited > 0) {
      fail(where, name(current_) +
                      " waits at a barrier that another thread has left the kernel "
                      "without reaching");
    }
    block.barrier_count += predicate;
    if (!meet(block.barrier, num_threads_, "a barrier", where)) {
      pause();
      return threads_[current_].result;
    }
    for (int thread : block.barrier.waiters) threads_[thread].result = block.barrier_count;
    block.barrier_count = 0;
    ++block.epoch;
    release(block.barrier.waiters);
    pause();
    return threads_[current_].result;
  }

  // The barrier of all blocks of a cooperative launch.
  void grid_barrier(const Where& where) {
    if (!together_) fail(where, "a grid barrier in a launch that is not cooperative");
    for (const Block& block : blocks_) {
      if (block.num_exited > 0) {
        fail(where, name(current_) +
                        " waits at a grid barrier that another thread has left the kernel "
                        "without reaching");
      }
    }
    if (meet(grid_barrier_, static_cast<int>(blocks_.size()) * num_threads_, "a grid barrier",
             where)) {
      for (Block& block : blocks_) ++block.epoch;
      release(grid_barrier_.waiters);
    }
    pause();
  }

  // Every warp-wide operation: the lanes of `mask` each bring a slot and get those of all lanes.
  const Slots& exchange(unsigned mask, const Slot& slot, const char* what, const Where& where) {
    Warp& warp = own_warp();
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
      if ((mask >> lane & 1u) &&
          (other >= num_threads_ || threads_[first_thread() + other].exited)) {
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
    Warp& warp = own_warp();
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

  struct Barrier {
    std::vector<int> waiters;
    Where where;
  };
  struct Group {
    Barrier barrier;
    int epoch = 0;
  };
  struct Block {
    Dim3 index;
    std::vector<std::byte> dynamic_shared;
    std::vector<Warp> warps;
    std::vector<Group> groups;
    Barrier barrier;
    int barrier_count = 0;
    int num_exited = 0;
    int epoch = 0;
  };

  Block& own_block() { return blocks_[resident_block()]; }
  const Block& own_block() const { return blocks_[resident_block()]; }
  Warp& own_warp() { return own_block().warps[warp()]; }
  const Warp& own_warp() const { return own_block().warps[warp()]; }
  int first_thread() const { return resident_block() * num_threads_; }

  std::string name(int thread) const {
    const std::string name = "thread " + std::to_string(thread % num_threads_);
    return blocks_.size() == 1
               ? name
               : name + " of block " + std::to_string(blocks_[thread / num_threads_].index.x);
  }

  // Joins those who wait at a barrier. Returns whether all are there.
  bool meet(Barrier& barrier, int expected, const char* what, const Where& where) {
    if (!barrier.waiters.empty() && !same_place(barrier.where, where)) {
      fail(where, "divergent barrier: " + name(current_) + " waits here, " +
                      name(barrier.waiters[0]) + " at " + text(barrier.where));
    }
    barrier.where = where;
    barrier.waiters.push_back(current_);
    threads_[current_].waits_for = what;
    threads_[current_].where = where;
    return static_cast<int>(barrier.waiters.size()) == expected;
  }

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
    Block& block = own_block();
    ++block.num_exited;
    for (const Barrier* barrier : {&block.barrier, &grid_barrier_}) {
      if (barrier->waiters.empty()) continue;
      fail(barrier->where, "divergent barrier: " + name(barrier->waiters[0]) + " waits here, " +
                               name(current_) + " has left the kernel");
    }
    pause();
    std::abort();
  }

  void run_blocks(const std::vector<std::uint64_t>& indices, std::size_t dynamic_bytes) {
    num_threads_ = static_cast<int>(block_.x * block_.y * block_.z);
    blocks_.assign(indices.size(), {});
    for (std::size_t b = 0; b < indices.size(); ++b) {
      const std::uint64_t index = indices[b];
      blocks_[b].index = {static_cast<unsigned>(index % grid_.x),
                          static_cast<unsigned>(index / grid_.x % grid_.y),
                          static_cast<unsigned>(index / grid_.x / grid_.y)};
      blocks_[b].warps.resize((num_threads_ + kWarpSize - 1) / kWarpSize);
      blocks_[b].groups.resize((num_threads_ + kGroupSize - 1) / kGroupSize);
      // An allocation of the exact size, so that AddressSanitizer sees an overrun.
      blocks_[b].dynamic_shared.assign(dynamic_bytes, std::byte{0xff});
    }
    grid_barrier_.waiters.clear();
    const int all_threads = static_cast<int>(blocks_.size()) * num_threads_;
    if (static_cast<int>(threads_.size()) < all_threads) threads_.resize(all_threads);
    ready_.clear();
    events_.clear();
    for (int t = 0; t < all_threads; ++t) {
      threads_[t].exited = false;
      threads_[t].fiber.prepare(&Machine::enter);
      ready_.push_back(t);
    }
    if (runs_ahead_) shuffle_warps();
    for (Poisonable* memory : poisonables_) memory->poison(static_cast<int>(blocks_.size()));
    error_.clear();
    ++blocks_run_;

    while (!(ready_.empty() && events_.empty()) && error_.empty()) {
      // Events come late, in random order: now and then, or if all threads wait for one.
      if (!events_.empty() && (ready_.empty() || random_() % 64 == 0)) {
        std::swap(events_[random_() % events_.size()], events_.back());
        const auto event = std::move(events_.back());
        events_.pop_back();
        event();
        continue;
      }
      current_ = take_ready();
      Fiber::switch_to(main_, threads_[current_].fiber);
    }
    int exited = 0;
    for (const Block& block : blocks_) exited += block.num_exited;
    if (error_.empty() && exited < all_threads) error_ = describe_deadlock(all_threads);
    if (!error_.empty()) throw Error(error_);
  }

  // Whose threads come last, any warp's.
  void shuffle_warps() {
    std::vector<int> warps((ready_.size() + kWarpSize - 1) / kWarpSize);
    std::iota(warps.begin(), warps.end(), 0);
    std::shuffle(warps.begin(), warps.end(), random_);
    const int all = static_cast<int>(ready_.size());
    ready_.clear();
    for (const int warp : warps) {
      for (int t = warp * kWarpSize; t < std::min(all, (warp + 1) * kWarpSize); ++t) {
        ready_.push_back(t);
      }
    }
  }

  // Who goes on.
  int take_ready() {
    if (runs_ahead_ && random_() % 64 != 0) {
      const int last = ready_.back();
      ready_.pop_back();
      return last;
    }
    const auto next = ready_.begin() + static_cast<std::ptrdiff_t>(random_() % ready_.size());
    const int drawn = *next;
    if (runs_ahead_) {
      ready_.erase(next);  // those who came last stay so
    } else {
      std::swap(*next, ready_.back());
      ready_.pop_back();
    }
    return drawn;
  }

  std::string describe_deadlock(int all_threads) const {
    std::string message = "deadlock:";
    int shown = 0;
    for (int t = 0; t < all_threads && shown < 4; ++t) {
      if (threads_[t].exited) continue;
      message += (shown++ ? "; " : " ") + name(t) + " waits in " + threads_[t].waits_for + " at " +
                 text(threads_[t].where);
    }
    return message;
  }

  std::mt19937_64 random_;
  bool runs_ahead_ = false;
  Dim3 grid_, block_;
  bool together_ = false;
  std::function<void()> kernel_;
  std::vector<Poisonable*> poisonables_;

  Fiber main_;
  std::vector<Block> blocks_;    // side by side
  std::vector<Thread> threads_;  // of all these, block by block
  std::vector<int> ready_;
  std::vector<std::function<void()>> events_;
  Barrier grid_barrier_;
  int current_ = 0;
  int num_threads_ = 0;  // of a block
  std::uint64_t blocks_run_ = 0;
  std::string error_;
};

}  // namespace cuda_host
