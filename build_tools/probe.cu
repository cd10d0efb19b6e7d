// SPDX-License-Identifier: BSD-3-Clause
//
// What csrc/cuda asks of a toolkit and an architecture, in a few lines: the build tries them first.
#include <cooperative_groups.h>

#include <concepts>

struct Parameters {
  unsigned* counts;
};

template <std::integral T>
__global__ void probe(const __grid_constant__ Parameters parameters) {
  __shared__ __align__(16) unsigned short rows[8 * 32];

  unsigned a[4];
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(rows + threadIdx.x * 8));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
               : "r"(address));
  float d[4] = {};
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]));

  T count = static_cast<T>(__match_any_sync(0xffffffffu, a[3]) + d[0]);
  cooperative_groups::this_grid().sync();
  parameters.counts[threadIdx.x] = count;
}

template __global__ void probe<int>(const __grid_constant__ Parameters);
