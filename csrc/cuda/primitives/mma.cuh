// SPDX-License-Identifier: BSD-3-Clause
//
// Warp-wide matrix products on tensor cores, and the loads that feed them.
//
//   C[16, 8] += A[16, 16] B[8, 16]^T       A and B fp16, C fp32
//
// One type serves all inputs. fp16 has more bits than bf16 and, with one power of two for a whole
// batch, range enough for either 16-bit type; two of them, high and low, hold 22 bits of an fp32,
// as two TF32 would, at twice their rate and on every tensor core since sm_75.
//
// Which lane holds what (PTX ISA, "Matrix Fragments for mma.m16n8k16 / m16n8k8"), g = lane / 4 and
// t = lane % 4; a register holds two neighbours of a row:
//
//   A  register 0: row g,     elements 2t, 2t + 1        register 1: row g + 8, the same elements
//      register 2: row g,     elements 2t + 8, 2t + 9    register 3: row g + 8, the same elements
//   B  register 0: row g,     elements 2t, 2t + 1        register 1: elements 2t + 8, 2t + 9
//   C  0, 1: row g, columns 2t, 2t + 1                   2, 3: row g + 8, the same columns
//
// Numerics     Products are exact. The addends of an instruction are aligned to the largest of them
//              and cut off, at no less than fp32's bits.
//
// The host harness (tests/cuda_host/harness/mma_host.h) brings these functions itself.
#pragma once

#include <cstdint>

#include "common/platform.h"
#include "cuda/primitives/shared_array.cuh"
#include "cuda/primitives/warp.cuh"

namespace fused_rankloss::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 750
#error "the tensor-core instructions of fused_rankloss need sm_75 or newer"
#endif

inline constexpr int kMmaDepth = 16;

// Eight fp16: what a row of an 8x8 matrix is in shared memory, and what one copy moves.
struct alignas(16) Halves8 {
  uint32_t pairs[4];
};

struct FragmentA {
  uint32_t registers[4];
};

struct FragmentB {
  uint32_t registers[2];
};

struct FragmentC {
  float values[4];

  FRL_HD static constexpr int row(int lane, int index) { return lane / 4 + index / 2 * 8; }
  FRL_HD static constexpr int column(int lane, int index) { return lane % 4 * 2 + index % 2; }
};

#ifdef __CUDACC__
__device__ __forceinline__ void mma(FragmentC& c, const FragmentA& a, const FragmentB& b) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c.values[0]), "+f"(c.values[1]), "+f"(c.values[2]), "+f"(c.values[3])
      : "r"(a.registers[0]), "r"(a.registers[1]), "r"(a.registers[2]), "r"(a.registers[3]),
        "r"(b.registers[0]), "r"(b.registers[1]));
#else  // in two halves, whose registers are the same
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
        "{%0, %1, %2, %3};"
        : "+f"(c.values[0]), "+f"(c.values[1]), "+f"(c.values[2]), "+f"(c.values[3])
        : "r"(a.registers[2 * half]), "r"(a.registers[2 * half + 1]), "r"(b.registers[half]));
  }
#endif
}

// Four 8x8 matrices: lane l names the cell of row l % 8 of matrix l / 8, and gets of matrix m, in
// register m, the elements 2 (l % 4) and the next of row l / 4.
template <int kSize>
__device__ __forceinline__ void load_matrices(uint32_t (&registers)[4],
                                              const SharedArray<Halves8, kSize>& cells, int cell) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(cells.address(cell)));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(address)
               : "memory");
}

// Copies from global into shared memory that the threads need not wait for: a thread's copies since
// its last commit form a group, and wait_for_copies<n> returns when all but its last n are done. A
// barrier makes them visible to others. sm_75 copies at once.
template <int kSize>
__device__ __forceinline__ void copy_async(SharedArray<Halves8, kSize>& cells, int cell,
                                           const Halves8* from) {
#if __CUDA_ARCH__ >= 800
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(cells.address(cell)));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
#else
  cells.store(cell, *from);
#endif
}

__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int kPending>
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}
#endif

}  // namespace fused_rankloss::cuda

#ifndef __CUDACC__
#include "harness/mma_host.h"
#endif
