// SPDX-License-Identifier: BSD-3-Clause
//
// The warp-wide instructions of csrc/cuda/primitives/mma.cuh for the host harness. Lanes exchange
// what they hold through the machine and find their elements by the layouts of the PTX ISA; a
// kernel that holds anything elsewhere computes something else.
//
// A copy is made when its thread waits for it, no sooner: a kernel that reads without having waited
// reads what was there before.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "common/half.h"

namespace cuda_host {

// The copies that a thread has not waited for yet, in groups.
class PendingCopies {
 public:
  void add(std::function<void()> copy) { open_.push_back(std::move(copy)); }

  void commit() {
    groups_.push_back(std::move(open_));
    open_.clear();
  }

  void wait(std::size_t pending) {
    while (groups_.size() > pending) {
      for (const auto& copy : groups_.front()) copy();
      groups_.pop_front();
    }
  }

  // Of the running thread, in its block. A block that ends without waiting has lost its copies.
  static PendingCopies& get() {
    static std::map<int, std::pair<std::uint64_t, PendingCopies>> threads;
    Machine& machine = Machine::get();
    auto& [block, copies] = threads[machine.thread()];
    if (block != machine.blocks_run()) copies = {};
    block = machine.blocks_run();
    return copies;
  }

 private:
  std::vector<std::function<void()>> open_;
  std::deque<std::vector<std::function<void()>>> groups_;
};

}  // namespace cuda_host

namespace fused_rankloss::cuda {

inline float half_of(uint32_t pair, int index) {
  return to_float(Half{static_cast<uint16_t>(pair >> 16 * index)});
}

inline void mma(FragmentC& c, const FragmentA& a, const FragmentB& b,
                cuda_host::Where where = cuda_host::Where::current()) {
  cuda_host::Machine& machine = cuda_host::Machine::get();
  const int lane = machine.lane();
  // B first: the slots are the machine's, and stay as they are until the next exchange.
  float b_rows[2][kMmaDepth];  // of this lane's two columns
  {
    const auto& slots = machine.exchange(kAllLanes, cuda_host::slot_of(b), "mma", where);
    for (int column = 0; column < 2; ++column) {
      for (int t = 0; t < 4; ++t) {
        const int row = FragmentC::column(lane, column);
        const auto other = cuda_host::value_of<FragmentB>(slots[row * 4 + t]);
        for (int e = 0; e < 4; ++e) {
          b_rows[column][2 * t + e % 2 + e / 2 * 8] = half_of(other.registers[e / 2], e % 2);
        }
      }
    }
  }
  const auto& slots = machine.exchange(kAllLanes, cuda_host::slot_of(a), "mma", where);
  for (int half = 0; half < 2; ++half) {
    float a_row[kMmaDepth];
    for (int t = 0; t < 4; ++t) {
      const auto other = cuda_host::value_of<FragmentA>(slots[lane / 4 * 4 + t]);
      for (int e = 0; e < 4; ++e) {
        a_row[2 * t + e % 2 + e / 2 * 8] = half_of(other.registers[e / 2 * 2 + half], e % 2);
      }
    }
    for (int column = 0; column < 2; ++column) {
      float& value = c.values[2 * half + column];
      for (int k = 0; k < kMmaDepth; ++k) value += a_row[k] * b_rows[column][k];
    }
  }
}

template <int kSize>
void load_matrices(uint32_t (&registers)[4], SharedArray<Halves8, kSize>& cells, int cell,
                   cuda_host::Where where = cuda_host::Where::current()) {
  cuda_host::Machine& machine = cuda_host::Machine::get();
  const auto& slots = machine.exchange(kAllLanes, cuda_host::slot_of(cells.load(cell, where)),
                                       "load_matrices", where);
  for (int matrix = 0; matrix < 4; ++matrix) {
    const auto row = cuda_host::value_of<Halves8>(slots[matrix * 8 + machine.lane() / 4]);
    registers[matrix] = row.pairs[machine.lane() % 4];
  }
}

template <int kSize>
void copy_async(SharedArray<Halves8, kSize>& cells, int cell, const Halves8* from,
                cuda_host::Where where = cuda_host::Where::current()) {
  cuda_host::PendingCopies::get().add([=, &cells] { cells.store(cell, *from, where); });
}

inline void commit_copies() { cuda_host::PendingCopies::get().commit(); }

template <int kPending>
void wait_for_copies() {
  cuda_host::PendingCopies::get().wait(kPending);
}

}  // namespace fused_rankloss::cuda
