// SPDX-License-Identifier: BSD-3-Clause
//
// What the copies and products of hopper_host.h are up to, and what they do to the dynamic shared
// memory of a block.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace fused_rankloss::cuda {

class Mbarrier;

}  // namespace fused_rankloss::cuda

namespace cuda_host {

// One block's.
class AsyncMemory {
 public:
  // Not aligned to the swizzle, as on a GPU, where static shared memory lies before it.
  static constexpr std::uint32_t kFirstAddress = 0x410;
  static constexpr std::uint32_t kCellBytes = 16;

  struct Cell {
    int copies = 0;    // on their way
    int products = 0;  // that read it, not waited for: counted by thread
    const fused_rankloss::cuda::Mbarrier* barrier = nullptr;  // of the last copy
    std::uint64_t phase = 0;                                  // that it was part of
  };
  struct Product {
    fused_rankloss::cuda::FragmentC* c;
    std::uint64_t a, b;
  };
  struct Thread {
    std::map<const fused_rankloss::cuda::Mbarrier*, std::uint64_t> phases_seen;
    std::vector<Product> open;
    std::deque<std::vector<Product>> groups;
    bool begun = false;
    std::size_t products = 0;  // ever
  };

  // Of the running block.
  static AsyncMemory& get() {
    static AsyncMemory memory;
    static std::uint64_t blocks_run = 0;
    Machine& machine = Machine::get();
    if (blocks_run != machine.blocks_run()) {
      blocks_run = machine.blocks_run();
      std::vector<std::byte>& bytes = machine.dynamic_shared();
      memory = {};
      memory.cells_.resize((bytes.size() + kCellBytes - 1) / kCellBytes);
      memory.bytes_ = bytes.data();
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

  std::set<const fused_rankloss::cuda::Mbarrier*> unpublished;

 private:
  std::byte* bytes_ = nullptr;
  std::vector<Cell> cells_;
  std::map<int, Thread> threads_;
  std::map<int, std::vector<std::pair<std::uint64_t, std::uint64_t>>> group_products_;
};

}  // namespace cuda_host
