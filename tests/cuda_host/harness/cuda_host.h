// SPDX-License-Identifier: BSD-3-Clause
//
// CUDA C++ for g++: runs the kernels of csrc/cuda/*.cuh on a CPU, unchanged. host_build.py includes
// this header before everything else.
//
//   cuda_host::launch({.grid = {blocks}, .block = {threads}, .seed = 1}, kernel<float>,
//   arguments...);
//
// Every thread of a block is a fiber; blocks run one after another, or all side by side in a
// cooperative launch (.together = true), which may use grid_barrier() of
// csrc/cuda/primitives/grid.cuh. At each barrier, warp-wide operation and atomic the next thread is
// drawn at random from `seed`. What ends a launch with a cuda_host::Error that names the kernel's
// line:
//
//   a barrier of a block or the grid that threads meet in different places, or that some leave the
//     kernel without meeting
//   a warp-wide operation (shuffle, vote, match, reduce, __syncwarp) whose mask names lanes that do
//     not come, come somewhere else, or have left the kernel
//   through SharedArray: a cell out of bounds, read before it was written in this block, or touched
//   by
//     two threads, one of them writing, without a barrier between them
//   a deadlock
//
// What shows only as a wrong result or as a difference between seeds: races on global memory and on
// plain __shared__ variables. Those are static variables here, and are not poisoned. Dynamic shared
// memory is a heap block of the exact size, filled with 0xff bytes; AddressSanitizer sees overruns.
// What does not show: memory order between blocks, registers, launch limits, speed, instructions
// that only a GPU has, but for those that mma_host.h and experimental/hopper_host.h know.
//
// A kernel joins with a launcher that calls cuda_host::launch as above (as in pairwise_host.cpp), a
// test that compares it with the reference under several seeds, and its mutants in a mutants_*.py.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "harness/machine.h"
#include "harness/shared_memory.h"

// ---- NaN -------------------------------------------------------------------

namespace fused_rankloss {

// A GPU's fp32 arithmetic returns one canonical NaN; a CPU keeps the bits. This hides
// bit_cast of common/ordered.h where a float becomes an integer.
template <typename To, typename From>
  requires(std::is_same_v<From, float> && std::is_integral_v<To>)
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  const std::uint32_t nan = 0x7fffffff;
  To to;
  std::memcpy(&to, from == from ? static_cast<const void*>(&from) : &nan, sizeof(To));
  return to;
}

}  // namespace fused_rankloss

// ---- Qualifiers ------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __constant__ static
#define __forceinline__ inline
#define __noinline__
#define __grid_constant__
#define __launch_bounds__(...)

// ---- Launch ----------------------------------------------------------------

namespace cuda_host {

struct LaunchConfig {
  Dim3 grid;
  Dim3 block;
  std::size_t dynamic_bytes = 0;
  std::uint64_t seed = 0;
  bool together = false;  // a cooperative launch
};

template <typename... Parameters, typename... Arguments>
void launch(const LaunchConfig& config, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
  Machine::get().launch(config.grid, config.block, config.dynamic_bytes, config.seed,
                        config.together, [&] { kernel(arguments...); });
}

template <typename T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(Machine::get().dynamic_shared().data());
}

// ---- Warp-wide operations --------------------------------------------------

template <typename T>
Machine::Slot slot_of(const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(Machine::Slot));
  Machine::Slot slot;
  std::memcpy(slot.bytes.data(), &value, sizeof(T));
  return slot;
}

template <typename T>
T value_of(const Machine::Slot& slot) {
  T value;
  std::memcpy(&value, slot.bytes.data(), sizeof(T));
  return value;
}

// The value of the lane that `source` picks, or one's own where that lies outside of one's section
// of `width` lanes. Reading a lane that the mask leaves out is an error.
template <typename T, typename Source>
T shuffle(unsigned mask, const T& value, int width, const char* what, const Where& where,
          Source source) {
  Machine& machine = Machine::get();
  const Machine::Slots& slots = machine.exchange(mask, slot_of(value), what, where);
  const int section = machine.lane() / width * width;
  const int from = source(machine.lane() - section);
  if (from < 0 || from >= width) return value;
  if ((mask >> (section + from) & 1u) == 0) {
    machine.fail(where, std::string(what) + " reads lane " + std::to_string(section + from) +
                            ", which its mask leaves out");
  }
  return value_of<T>(slots[section + from]);
}

// Calls `body(lane, value)` for the lanes of the mask in ascending order.
template <typename T, typename Body>
void for_each_lane(unsigned mask, const T& value, const char* what, const Where& where, Body body) {
  const Machine::Slots& slots = Machine::get().exchange(mask, slot_of(value), what, where);
  for (int lane = 0; lane < Machine::kWarpSize; ++lane) {
    if (mask >> lane & 1u) body(lane, value_of<T>(slots[lane]));
  }
}

template <typename T, typename Combine>
T reduce(unsigned mask, const T& value, const char* what, const Where& where, Combine combine) {
  T result{};
  bool first = true;
  for_each_lane(mask, value, what, where, [&](int, const T& next) {
    result = first ? next : combine(result, next);
    first = false;
  });
  return result;
}

// An atomic is a point where the schedule may change, before and after.
template <typename T, typename Update>
T atomic(T* address, Update update) {
  Machine& machine = Machine::get();
  machine.yield();
  const T old = *address;
  *address = update(old);
  ++machine.atomics;
  machine.yield();
  return old;
}

}  // namespace cuda_host

// ---- Built-in variables ----------------------------------------------------

#define threadIdx (cuda_host::Machine::get().thread_index())
#define blockIdx (cuda_host::Machine::get().block_index())
#define blockDim (cuda_host::Machine::get().block())
#define gridDim (cuda_host::Machine::get().grid())
inline constexpr int warpSize = cuda_host::Machine::kWarpSize;

#include "harness/intrinsics.h"
