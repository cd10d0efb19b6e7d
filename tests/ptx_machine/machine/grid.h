// SPDX-License-Identifier: BSD-3-Clause
//
// A grid that runs: its warps, its blocks, and what is under way.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "program.h"

namespace ptx {

struct Block;

struct Warp {
  char* registers = nullptr;
  const char* constants = nullptr;
  char* local = nullptr;  // of lane 0; the others' follow
  Block* block = nullptr;
  const Kernel* kernel = nullptr;
  int index = 0;
  // Lanes: that have not ended; that may go on; that wait for others of the warp, or of the block.
  uint32_t alive = 0, ready = 0, in_warp_wait = 0, in_block_wait = 0;
  uint32_t position[32];  // the next instruction of each lane
  uint32_t members[32];   // whom a lane waits for
  uint8_t barrier[32];    // at which it waits
  uint32_t carry = 0;     // the carry flag of each lane

  // cp.async: done at once or when it is waited for, as the seed has it.
  struct Copy {
    int lane;
    uint64_t to, from;
    uint32_t bytes, group;
  };
  std::vector<Copy> copies;
  uint32_t committed_copies[32] = {};
  // wgmma: likewise.
  struct Product {
    const Instruction* instruction;
    uint64_t a, b;
    uint32_t group;
  };
  std::vector<Product> products;
  uint32_t committed_products = 0;
};

struct Block {
  uint32_t index[3];
  uint64_t linear = 0;
  int threads = 0, alive = 0;
  char* shared = nullptr;
  uint32_t shared_bytes = 0;
  std::vector<uint8_t> shared_written;
  std::vector<Warp> warps;
  struct Barrier {
    int arrived = 0;
    int expected = -1;
  };
  Barrier barriers[16];
  std::vector<char> memory;
};

struct LaunchShape {
  uint32_t grid[3], block[3];
  uint32_t dynamic_shared = 0;
  bool cooperative = false;
};

// Of the launch that runs: there is one at a time.
struct Running {
  const LaunchShape* shape = nullptr;
  uint64_t grid_workspace = 0;  // what cooperative groups find in %envreg
  uint64_t clock = 0;
  // Bulk copies under way: the scheduler ends them at any time.
  std::vector<std::function<void()>> bulk_copies;
};
extern Running running;

// Runs a whole grid; throws Fault.
void run(Kernel& kernel, const LaunchShape& shape);

}  // namespace ptx
