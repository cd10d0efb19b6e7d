// SPDX-License-Identifier: BSD-3-Clause
//
// What sm_90a alone has: products of whole warpgroups, copies of many rows by one thread, and the
// barriers in shared memory on which both rest. Each function is one instruction, or two that
// belong together, named beside it.
//
//   C[64, 128] += A[64, 16] B[128, 16]^T     A and B fp16 in shared memory, C fp32 in registers
//
// A warpgroup is four warps, the first of them a multiple of four. Warp w has rows 16 w .. 16 w +
// 15 of C, in fragments of eight columns that are those of mma (PTX ISA, "Matrix Fragments for
// wgmma.mma_async.m64nNk16").
//
// A tile is 128 rows of 128 bytes. Cells of 16 bytes are swizzled as in the PTX ISA's "128B
// swizzling mode", by the copies that write them and the products that read them: swizzled().
//
// A stage, a tile's place that is used again and again, has two barriers:
//
//   full     One arrival, of the thread that copies, and all bytes of the stage.
//   empty    Its readers, once they are done with it; then the next copy may begin.
//
// The host harness (tests/cuda_host/experimental/hopper_host.h) brings all functions but the
// constexpr ones itself. Kernels that call them have a body for __CUDA_ARCH_FEAT_SM90_ALL only.
//
// Experimental: compiled only with FUSED_RANKLOSS_EXPERIMENTAL=1, taken only with
// FUSED_RANKLOSS_HOPPER=1. hopper_search.h says what graduates it and what deletes it.
#pragma once

#include <cstdint>

#include "cuda/primitives/mma.cuh"

#ifdef __CUDACC__
#include <cuda.h>  // CUtensorMap: a type, no function of the driver
#endif

namespace fused_rankloss::cuda {

inline constexpr int kGroupWarps = 4;
inline constexpr int kGroupThreads = kGroupWarps * kWarpSize;
inline constexpr int kTileRows = 128;
inline constexpr int kTileRowBytes = 128;
inline constexpr int kTileRowHalves = kTileRowBytes / 2;
inline constexpr uint32_t kTileBytes = kTileRows * kTileRowBytes;
inline constexpr int kProductRows = 64;  // of C

// Eight rows are the period of the swizzle: what tiles are aligned to.
inline constexpr int kSwizzleRows = 8;
inline constexpr uint32_t kSwizzleBytes = kSwizzleRows * kTileRowBytes;

__device__ __forceinline__ int group_index() { return warp_index() / kGroupWarps; }

// ---- Places -----------------------------------------------------------------

// Where the byte of an unswizzled tile lies: cell c of row r at c ^ (r % 8).
FRL_HD constexpr uint32_t swizzled(uint32_t address) { return address ^ (address >> 3 & 0x70u); }

// An operand: rows of a tile from the given address on, 16 numbers each (PTX ISA, "Matrix
// Descriptor Format"; addresses and distances without their low four bits). Columns beyond the
// first of a tile begin within its first row: 32 bytes a step of 16 numbers.
FRL_HD constexpr uint64_t matrix_descriptor(uint32_t address) {
  return uint64_t{(address & 0x3ffffu) >> 4} |  // 0 .. 13, the start
         uint64_t{1} << 16 |                    // 16 .. 29, leading distance: unused if swizzled
         uint64_t{kSwizzleBytes >> 4} << 32 |   // 32 .. 45, from eight rows to the next eight
         uint64_t{1} << 62;                     // 62 .. 63, swizzle of 128 bytes
}

// What the hardware makes of it: the address of a byte of a row.
FRL_HD constexpr uint32_t matrix_address(uint64_t descriptor, int row, int byte) {
  const uint32_t start = static_cast<uint32_t>(descriptor & 0x3fffu) << 4;
  const uint32_t distance = static_cast<uint32_t>(descriptor >> 32 & 0x3fffu) << 4;
  return swizzled(start + static_cast<uint32_t>(row / kSwizzleRows) * distance +
                  static_cast<uint32_t>(row % kSwizzleRows * kTileRowBytes + byte));
}

// By hand, from the figures of the PTX ISA: row 1 has its cells 0 and 1 changed places, 2 and 3
// too; row 7 is turned around; row 8 is as row 0.
static_assert(swizzled(0) == 0 && swizzled(0x7f) == 0x7f);
static_assert(swizzled(128) == 128 + 16 && swizzled(128 + 16) == 128 && swizzled(128 + 37) == 181);
static_assert(swizzled(7 * 128) == 7 * 128 + 112 && swizzled(7 * 128 + 112) == 7 * 128);
static_assert(swizzled(8 * 128 + 48) == 8 * 128 + 48);
static_assert(matrix_descriptor(0x400) == 0x4000'0040'0001'0040u);
static_assert(matrix_descriptor(0x1c420) == 0x4000'0040'0001'1c42u);  // a second step
static_assert(matrix_address(matrix_descriptor(0x1c420), 0, 0) == 0x1c420);
static_assert(matrix_address(matrix_descriptor(0x1c420), 1, 2) == 0x1c400 + 128 + 48 + 2);
static_assert(matrix_address(matrix_descriptor(0x1c420), 14, 16) == 0x1c400 + 14 * 128 + 80);

#ifdef __CUDACC__
// ---- Barriers ---------------------------------------------------------------

// An object in shared memory that goes through phases: one ends when all arrivals and all bytes
// that were expected are there. A phase is known by its parity, 0 for the first. wait(parity)
// returns when the last phase of that parity is over, which for 1 the one before the first is.
class Mbarrier {
 public:
  // By one thread; followed by publish_mbarriers() and a barrier of the block.
  __device__ __forceinline__ void init(int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address()), "r"(arrivals)
                 : "memory");
  }

  __device__ __forceinline__ void arrive() {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address()) : "memory");
  }

  // Arrives, and makes the phase wait for so many bytes.
  __device__ __forceinline__ void arrive_expecting(uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address()),
                 "r"(bytes)
                 : "memory");
  }

  __device__ __forceinline__ void wait(uint32_t parity) {
    uint32_t over = 0;
    do {
      asm volatile(
          "{\n"
          ".reg .pred over;\n"
          "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
          "selp.u32 %0, 1, 0, over;\n"
          "}"
          : "=r"(over)
          : "r"(address()), "r"(parity)
          : "memory");
    } while (over == 0);
  }

  __device__ __forceinline__ uint32_t address() const {
    return static_cast<uint32_t>(__cvta_generic_to_shared(&state_));
  }

 private:
  uint64_t state_;
};

// After a thread's init() of barriers: for other threads, and for the copies.
__device__ __forceinline__ void publish_mbarriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// A barrier of the calling warpgroup.
__device__ __forceinline__ void sync_group() {
  asm volatile("bar.sync %0, %1;" ::"r"(group_index() + 1), "n"(kGroupThreads) : "memory");
}

// ---- Copies -----------------------------------------------------------------

// A matrix in global memory, for copies of tiles. A parameter of the kernel.
using TensorMap = CUtensorMap;

__device__ __forceinline__ uint32_t dynamic_shared_address() {
  extern __shared__ unsigned char dynamic_shared[];
  return static_cast<uint32_t>(__cvta_generic_to_shared(dynamic_shared));
}

// Begins to copy the tile whose first number is (row, column); what lies outside of the matrix is
// 0. Its kTileBytes arrive at the barrier, which is told to expect them.
__device__ __forceinline__ void copy_tile(uint32_t to, const TensorMap& from, int32_t row,
                                          int32_t column, Mbarrier& barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
      "l"(&from), "r"(column), "r"(row), "r"(barrier.address())
      : "memory");
}

// ---- Products ---------------------------------------------------------------

// Before the first product that touches registers which the threads have written.
__device__ __forceinline__ void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

// Begins to add the product of two operands to 128 columns. By all threads of a warpgroup.
#define FRL_COLUMN_TILE(n) \
  "+f"(c[n].values[0]), "+f"(c[n].values[1]), "+f"(c[n].values[2]), "+f"(c[n].values[3])
__device__ __forceinline__ void multiply_tiles(FragmentC (&c)[16], uint64_t a, uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, 1, 1, 1, 0, 0;"
      : FRL_COLUMN_TILE(0), FRL_COLUMN_TILE(1), FRL_COLUMN_TILE(2), FRL_COLUMN_TILE(3),
        FRL_COLUMN_TILE(4), FRL_COLUMN_TILE(5), FRL_COLUMN_TILE(6), FRL_COLUMN_TILE(7),
        FRL_COLUMN_TILE(8), FRL_COLUMN_TILE(9), FRL_COLUMN_TILE(10), FRL_COLUMN_TILE(11),
        FRL_COLUMN_TILE(12), FRL_COLUMN_TILE(13), FRL_COLUMN_TILE(14), FRL_COLUMN_TILE(15)
      : "l"(a), "l"(b));
}
#undef FRL_COLUMN_TILE

// The products since the last commit form a group.
__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Returns when all but the last kPending groups are done with registers and shared memory.
template <int kPending>
__device__ __forceinline__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// The compiler knows nothing of products that run on: it must not move what reads or writes
// accumulators past this, before the first product and after the last wait.
template <int kRowTiles, int kColumnTiles>
__device__ __forceinline__ void settle(FragmentC (&values)[kRowTiles][kColumnTiles]) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(values[m][n].values[i])::"memory");
    }
  }
}

// ---- Registers --------------------------------------------------------------

// By whole warpgroups: gives registers of each thread back, or takes those that others gave.
template <int kRegisters>
__device__ __forceinline__ void give_registers_back() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
#endif

}  // namespace fused_rankloss::cuda

#ifndef __CUDACC__
#include "experimental/hopper_host.h"
#endif
