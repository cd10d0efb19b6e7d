// SPDX-License-Identifier: BSD-3-Clause
//
// What the emulated device is, and what is drawn or assumed while kernels run.
#pragma once

#include <cstdint>

namespace ptx {

// The facts that launchers ask for. Python sets them (machine.py names two devices).
struct Device {
  int64_t multiprocessors = 108;
  int64_t shared_of_multiprocessor = 164 * 1024;
  int64_t shared_of_block = 163 * 1024;
  int64_t major = 8, minor = 0;
  int64_t threads_of_multiprocessor = 2048;
  int64_t blocks_of_multiprocessor = 32;
  int64_t registers_of_multiprocessor = 65536;
  int64_t l2_bytes = 40 << 20;
  int64_t float_to_double_ratio = 2;
};

struct Settings {
  Device device;
  int64_t seed = 1;
  int64_t resident_blocks = 6;  // side by side, of a launch that is not cooperative
  int64_t quantum = 400;        // instructions that a warp executes before another goes on, at most
  int64_t perturb = 0;          // one in this many turns does not resume the lowest group of a warp
  int64_t rounding_noise = 1;   // approximate instructions are off by up to one ulp
  int64_t late_copies = 1;      // asynchronous copies and products may end late
  int64_t contract = 0;         // mul + add becomes fma where ptxas may do that
  int64_t check_unwritten = 1;  // loads of bytes that nothing has written: 1 noted, 2 a fault
  int64_t instruction_limit = 20'000'000'000;  // of all warps of one launch
};

extern Settings settings;

// Of the schedule and of what memory holds at first: the same for the same seed.
void seed_random(uint64_t seed);
uint64_t random_bits();

}  // namespace ptx
