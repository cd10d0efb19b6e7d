// SPDX-License-Identifier: BSD-3-Clause
//
// The instructions of csrc/cuda/hopper.cuh for the host harness. Shared memory is the block's
// dynamic one; places in it follow from descriptors and swizzle as the PTX ISA has them.
//
// A copy arrives late, and copies arrive in random order. A product is computed when its threads
// wait for it, no sooner, so that whoever reads a number too early, or overwrites an operand too
// early, computes something else. What ends a launch with an Error that names the kernel's line:
//
//   an Mbarrier that is used before it was initialised, or before a barrier of the block or (by
//     copies) publish_mbarriers() made that known; more arrivals than it counts
//   a copy onto cells that another one is on its way to, or that products not waited for read
//   a product that reads cells whose copy its thread has not waited for, or while one is on its way
//   products without begin_products(); a warpgroup whose warps begin different ones
//   memory that is not aligned to the swizzle, or outside of the block's
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <vector>

namespace fused_rankloss {

class Mbarrier;

// A row-major matrix of halves.
struct TensorMap {
  const Halves8* cells;
  int64_t rows;
  int64_t row_halves;
};

}  // namespace fused_rankloss

namespace cuda_host {

// What copies and products of the running block are up to.
class AsyncMemory {
 public:
  // Not aligned to the swizzle, as on a GPU, where static shared memory lies before it.
  static constexpr std::uint32_t kFirstAddress = 0x410;
  static constexpr std::uint32_t kCellBytes = 16;

  struct Cell {
    int copies = 0;    // on their way
    int products = 0;  // that read it, not waited for: counted by thread
    const fused_rankloss::Mbarrier* barrier = nullptr;  // of the last copy
    std::uint64_t phase = 0;                            // that it was part of
  };
  struct Product {
    fused_rankloss::FragmentC* c;
    std::uint64_t a, b;
  };
  struct Thread {
    std::map<const fused_rankloss::Mbarrier*, std::uint64_t> phases_seen;
    std::vector<Product> open;
    std::deque<std::vector<Product>> groups;
    bool begun = false;
    std::size_t products = 0;  // ever
  };

  static AsyncMemory& get() {
    static AsyncMemory memory;
    Machine& machine = Machine::get();
    if (memory.block_ != machine.blocks_run()) {
      memory = {};
      memory.block_ = machine.blocks_run();
      memory.cells_.resize((machine.dynamic_shared().size() + kCellBytes - 1) / kCellBytes);
      memory.bytes_ = machine.dynamic_shared().data();
    }
    return memory;
  }

  Cell& cell(std::uint32_t address, const Where& where) {
    const std::uint32_t index = (address - kFirstAddress) / kCellBytes;
    if (address < kFirstAddress || index >= cells_.size()) {
      Machine::get().fail(where, "shared address " + std::to_string(address) +
                                     " is not in the block's dynamic shared memory");
    }
    return cells_[index];
  }

  std::byte* at(std::uint32_t address) { return bytes_ + (address - kFirstAddress); }
  Thread& thread() { return threads_[Machine::get().thread()]; }

  // The n-th product of a warpgroup is the same for all its warps.
  bool agrees(std::size_t n, std::uint64_t a, std::uint64_t b) {
    auto& products = group_products_[Machine::get().group()];
    if (n == products.size()) products.emplace_back(a, b);
    return products[n] == std::pair(a, b);
  }

  std::set<const fused_rankloss::Mbarrier*> unpublished;

 private:
  std::uint64_t block_ = 0;
  std::byte* bytes_ = nullptr;
  std::vector<Cell> cells_;
  std::map<int, Thread> threads_;
  std::map<int, std::vector<std::pair<std::uint64_t, std::uint64_t>>> group_products_;
};

}  // namespace cuda_host

namespace fused_rankloss {

// ---- Barriers ---------------------------------------------------------------

class Mbarrier {
  using Where = cuda_host::Where;

 public:
  void init(int arrivals) {
    *this = {};
    block_ = machine().blocks_run();
    maker_ = machine().thread();
    epoch_ = machine().epoch();
    arrivals_ = missing_ = arrivals;
    cuda_host::AsyncMemory::get().unpublished.insert(this);
  }

  void arrive(const Where& where = Where::current()) { arrive_expecting(0, where); }

  void arrive_expecting(uint32_t bytes, const Where& where = Where::current()) {
    check_usable(where);
    machine().yield();
    if (missing_ == 0) machine().fail(where, "more arrivals at an mbarrier than it counts");
    bytes_ += bytes;
    --missing_;
    end_phase_if_complete();
    machine().yield();
  }

  void wait(uint32_t parity, const Where& where = Where::current()) {
    check_usable(where);
    machine().yield();
    while (phase_ % 2 == parity) {
      waiters_.push_back(machine().thread());
      machine().park("an mbarrier", where);
    }
    cuda_host::AsyncMemory::get().thread().phases_seen[this] = phase_;
  }

  // For copies.
  uint64_t phase() const { return phase_; }
  void complete(uint32_t bytes) {
    bytes_ -= bytes;
    end_phase_if_complete();
  }
  void check_usable(const Where& where) const {
    if (block_ != machine().blocks_run()) {
      machine().fail(where, "an mbarrier that nobody initialised in this block");
    }
    if (maker_ != machine().thread() && epoch_ == machine().epoch()) {
      machine().fail(where, "an mbarrier without a barrier of the block since its init()");
    }
  }

 private:
  static cuda_host::Machine& machine() { return cuda_host::Machine::get(); }

  void end_phase_if_complete() {
    if (missing_ > 0 || bytes_ != 0) return;
    ++phase_;
    missing_ = arrivals_;
    for (int thread : waiters_) machine().wake(thread);
    waiters_.clear();
  }

  uint64_t block_ = 0;
  int maker_ = 0;
  int epoch_ = 0;
  int arrivals_ = 0;
  int missing_ = 0;
  int64_t bytes_ = 0;   // expected, not there yet
  uint64_t phase_ = 0;  // phases that are over
  std::vector<int> waiters_;
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
  cuda_host::AsyncMemory& memory = cuda_host::AsyncMemory::get();
  constexpr uint32_t kCellBytes = cuda_host::AsyncMemory::kCellBytes;
  barrier.check_usable(where);
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

}  // namespace fused_rankloss
