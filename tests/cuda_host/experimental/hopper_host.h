// SPDX-License-Identifier: BSD-3-Clause
//
// The instructions of csrc/cuda/experimental/sm90.cuh for the host harness. Shared memory is the
// block's dynamic one; places in it follow from descriptors and swizzle as the PTX ISA has them.
//
// A copy arrives late, and copies arrive in random order.
// A product is computed when its threads wait for it, no sooner, so that a read of a number or a
// write of an operand that is too early changes the result. What ends a launch with an Error that
// names the kernel's line:
//
//   an Mbarrier that is used before it was initialised, or before a barrier of the block or (by
//     copies) publish_mbarriers() made that known; more arrivals than it counts
//   a copy onto cells that another one is on its way to, or that products not waited for read
//   a product that reads cells whose copy its thread has not waited for, or while one is on its way
//   products without begin_products(); a warpgroup whose warps begin different ones
//   memory that is not aligned to the swizzle, or outside of the block's
#pragma once

#include <cstring>
#include <vector>

#include "experimental/async_memory.h"

namespace fused_rankloss::cuda {

// A row-major matrix of halves.
struct TensorMap {
  const Halves8* cells;
  int64_t rows;
  int64_t row_halves;
};

// ---- Barriers ---------------------------------------------------------------

class Mbarrier {
  using Where = cuda_host::Where;

 public:
  void init(int arrivals) {
    State& own = state();
    own = {};
    own.initialised = true;
    own.maker = machine().fiber();
    own.epoch = machine().epoch();
    own.arrivals = own.missing = arrivals;
    cuda_host::AsyncMemory::get().unpublished.insert(this);
  }

  void arrive(const Where& where = Where::current()) { arrive_expecting(0, where); }

  void arrive_expecting(uint32_t bytes, const Where& where = Where::current()) {
    check_usable(where);
    machine().yield();
    if (state().missing == 0) machine().fail(where, "more arrivals at an mbarrier than it counts");
    state().bytes += bytes;
    --state().missing;
    end_phase_if_complete();
    machine().yield();
  }

  void wait(uint32_t parity, const Where& where = Where::current()) {
    check_usable(where);
    machine().yield();
    while (state().phase % 2 == parity) {
      state().waiters.push_back(machine().fiber());
      machine().park("an mbarrier", where);
    }
    cuda_host::AsyncMemory::get().thread().phases_seen[this] = state().phase;
  }

  // For copies.
  uint64_t phase() { return state().phase; }
  void complete(uint32_t bytes) {
    state().bytes -= bytes;
    end_phase_if_complete();
  }
  void check_usable(const Where& where) {
    const State& own = state();
    if (!own.initialised) {
      machine().fail(where, "an mbarrier that no thread of this block initialised");
    }
    if (own.maker != machine().fiber() && own.epoch == machine().epoch()) {
      machine().fail(where, "an mbarrier without a barrier of the block since its init()");
    }
  }

 private:
  struct State {
    bool initialised = false;
    int maker = 0;
    int epoch = 0;
    int arrivals = 0;
    int missing = 0;
    int64_t bytes = 0;   // expected, not there yet
    uint64_t phase = 0;  // phases that are over
    std::vector<int> waiters;
  };

  static cuda_host::Machine& machine() { return cuda_host::Machine::get(); }

  State& state() {
    if (blocks_run_ != machine().blocks_run()) {
      blocks_run_ = machine().blocks_run();
      state_ = {};
    }
    return state_;
  }

  void end_phase_if_complete() {
    if (state().missing > 0 || state().bytes != 0) return;
    ++state().phase;
    state().missing = state().arrivals;
    for (int fiber : state().waiters) machine().wake(fiber);
    state().waiters.clear();
  }

  uint64_t blocks_run_ = 0;
  State state_;
};

inline void publish_mbarriers() { cuda_host::AsyncMemory::get().unpublished.clear(); }

inline void sync_group(const cuda_host::Where& where = cuda_host::Where::current()) {
  cuda_host::Machine::get().group_barrier(where);
}

// ---- Copies -----------------------------------------------------------------

inline uint32_t dynamic_shared_address() { return cuda_host::AsyncMemory::kFirstAddress; }

inline void copy_tile(uint32_t to, const TensorMap& from, int32_t row, int32_t column,
                      Mbarrier& barrier,
                      const cuda_host::Where& where = cuda_host::Where::current()) {
  cuda_host::Machine& machine = cuda_host::Machine::get();
  barrier.check_usable(where);
  cuda_host::AsyncMemory& memory = cuda_host::AsyncMemory::get();
  constexpr uint32_t kCellBytes = cuda_host::AsyncMemory::kCellBytes;
  if (memory.unpublished.count(&barrier) > 0) {
    machine.fail(where, "a copy to an mbarrier that was not published");
  }
  if (to % kSwizzleBytes != 0) machine.fail(where, "a tile that is not aligned to its swizzle");
  for (uint32_t byte = 0; byte < kTileBytes; byte += kCellBytes) {
    cuda_host::AsyncMemory::Cell& cell = memory.cell(to + byte, where);
    if (cell.copies > 0) machine.fail(where, "a copy onto one that is on its way");
    if (cell.products > 0) machine.fail(where, "a copy onto what a product still reads");
    cell = {1, 0, &barrier, barrier.phase()};
  }
  machine.later([=, &memory, &barrier] {
    for (uint32_t byte = 0; byte < kTileBytes; byte += kCellBytes) {
      const int64_t r = row + static_cast<int64_t>(byte / kTileRowBytes);
      const int64_t c = column + static_cast<int64_t>(byte % kTileRowBytes / 2);
      Halves8 cell = {};
      // Whole cells are inside or outside.
      if (0 <= r && r < from.rows && 0 <= c && c < from.row_halves) {
        cell = from.cells[(r * from.row_halves + c) / 8];
      }
      std::memcpy(memory.at(swizzled(to + byte)), &cell, sizeof(cell));
      --memory.cell(to + byte, where).copies;
    }
    barrier.complete(kTileBytes);
  });
}

// ---- Products ---------------------------------------------------------------

inline void begin_products() { cuda_host::AsyncMemory::get().thread().begun = true; }

// Calls `body` with the rows of A and B that the running thread's part of a product reads.
template <typename Body>
void for_operand_rows(const cuda_host::AsyncMemory::Product& product, Body body) {
  const int lane = cuda_host::Machine::get().lane();
  const int warp = cuda_host::Machine::get().warp() % 4;
  for (int half = 0; half < 2; ++half) {
    body(product.a, warp * 16 + FragmentC::row(lane, 2 * half));
  }
  for (int column = 0; column < kTileRows; ++column) {
    if (FragmentC::column(lane, column) == column % 8) body(product.b, column);
  }
}

inline void multiply_tiles(FragmentC (&c)[16], uint64_t a, uint64_t b,
                           const cuda_host::Where& where = cuda_host::Where::current()) {
  cuda_host::Machine& machine = cuda_host::Machine::get();
  cuda_host::AsyncMemory& memory = cuda_host::AsyncMemory::get();
  const auto& slots = machine.exchange(kAllLanes, cuda_host::slot_of(a), "multiply_tiles", where);
  auto& thread = memory.thread();
  if (cuda_host::value_of<uint64_t>(slots[0]) != a || !memory.agrees(thread.products++, a, b)) {
    machine.fail(where, "threads of a warpgroup begin different products");
  }
  if (!thread.begun) machine.fail(where, "a product without begin_products()");
  for_operand_rows({c, a, b}, [&](uint64_t descriptor, int row) {
    for (int byte = 0; byte < 2 * kMmaDepth; byte += cuda_host::AsyncMemory::kCellBytes) {
      auto& cell = memory.cell(matrix_address(descriptor, row, byte), where);
      if (cell.copies > 0 || cell.barrier == nullptr ||
          thread.phases_seen[cell.barrier] <= cell.phase) {
        machine.fail(where, "a product reads a tile whose copy was not waited for");
      }
      ++cell.products;
    }
  });
  thread.open.push_back({c, a, b});
}

inline void commit_products() {
  auto& thread = cuda_host::AsyncMemory::get().thread();
  thread.groups.push_back(std::move(thread.open));
  thread.open.clear();
  thread.begun = false;
}

inline void compute_product(const cuda_host::AsyncMemory::Product& product) {
  cuda_host::AsyncMemory& memory = cuda_host::AsyncMemory::get();
  const int lane = cuda_host::Machine::get().lane();
  float rows[2][kMmaDepth];
  int next = 0;
  const auto where = cuda_host::Where::current();
  for_operand_rows(product, [&](uint64_t descriptor, int row) {
    float column[kMmaDepth];
    float (&numbers)[kMmaDepth] = next < 2 ? rows[next] : column;
    for (int byte = 0; byte < 2 * kMmaDepth; byte += cuda_host::AsyncMemory::kCellBytes) {
      const uint32_t address = matrix_address(descriptor, row, byte);
      Halves8 cell;
      std::memcpy(&cell, memory.at(address), sizeof(cell));
      for (int e = 0; e < 8; ++e) numbers[byte / 2 + e] = half_of(cell.pairs[e / 2], e % 2);
      --memory.cell(address, where).products;
    }
    if (next++ < 2) return;
    for (int half = 0; half < 2; ++half) {
      const int index = 2 * half + (row % 8 - FragmentC::column(lane, 0));
      float& value = product.c[row / 8].values[index];
      for (int k = 0; k < kMmaDepth; ++k) value += rows[half][k] * column[k];
    }
  });
}

template <int kPending>
void wait_for_products(const cuda_host::Where& where = cuda_host::Where::current()) {
  auto& groups = cuda_host::AsyncMemory::get().thread().groups;
  while (groups.size() > kPending) {
    for (const auto& product : groups.front()) compute_product(product);
    groups.pop_front();
  }
  // All lanes' products are done once one of them goes on.
  cuda_host::Machine::get().exchange(kAllLanes, {}, "wait_for_products", where);
}

template <int kRowTiles, int kColumnTiles>
void settle(FragmentC (& /*values*/)[kRowTiles][kColumnTiles]) {}

// ---- Registers --------------------------------------------------------------

template <int kRegisters>
void give_registers_back(const cuda_host::Where& where = cuda_host::Where::current()) {
  cuda_host::Machine::get().exchange(kAllLanes, {}, "give_registers_back", where);
}
template <int kRegisters>
void take_registers(const cuda_host::Where& where = cuda_host::Where::current()) {
  cuda_host::Machine::get().exchange(kAllLanes, {}, "take_registers", where);
}

}  // namespace fused_rankloss::cuda
