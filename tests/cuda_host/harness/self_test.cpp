// SPDX-License-Identifier: BSD-3-Clause
//
// Small kernels, right ones and ones that each break one rule, to test the host harness itself.
#include <map>
#include <string>

#include "cuda/primitives/grid.cuh"
#include "cuda/primitives/shared_array.cuh"

namespace {

using fused_rankloss::cuda::grid_barrier;
using fused_rankloss::cuda::SharedArray;

constexpr unsigned kAll = 0xffffffffu;
constexpr int kBlocks = 3;
constexpr int kThreads = 64;

unsigned long long counter;
int output[kThreads];

// ---- Right -----------------------------------------------------------------

__global__ void reverses_through_shared() {
  __shared__ SharedArray<int, kThreads> cells;
  const int t = static_cast<int>(threadIdx.x);
  for (int round = 0; round < 3; ++round) {
    cells.store(t, t + round);
    __syncthreads();
    output[t] = cells.load(kThreads - 1 - t);
    __syncthreads();
  }
  if (output[t] != kThreads - 1 - t + 2) atomicAdd(&counter, 1ull);
}

__global__ void shares_within_a_warp() {
  __shared__ SharedArray<int, kThreads> cells;
  const int t = static_cast<int>(threadIdx.x);
  cells.store(t, t);
  __syncwarp();
  if (cells.load(t ^ 1) != (t ^ 1)) atomicAdd(&counter, 1ull);
}

__global__ void asks_the_warp() {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  bool good = __shfl_sync(kAll, lane, 5) == 5;
  good &= __shfl_up_sync(kAll, lane, 3) == (lane < 3 ? lane : lane - 3);
  good &= __shfl_down_sync(kAll, lane, 3, 8) == (lane % 8 > 4 ? lane : lane + 3);
  good &= __shfl_xor_sync(kAll, lane * 1.5, 16) == (lane ^ 16) * 1.5;
  good &= __ballot_sync(kAll, lane > 29) == 0xc0000000u;
  good &= __any_sync(kAll, lane == 7) && !__all_sync(kAll, lane == 7) && __all_sync(kAll, 1);
  good &= __match_any_sync(kAll, lane / 16) == (lane < 16 ? 0xffffu : 0xffff0000u);
  int all = 0;
  good &= __match_all_sync(kAll, lane, &all) == 0 && all == 0;
  good &= __reduce_add_sync(kAll, lane) == 496 && __reduce_max_sync(kAll, lane) == 31;
  good &= __reduce_min_sync(kAll, lane) == 0;
  good &= __reduce_or_sync(kAll, 1u << lane) == kAll && __reduce_and_sync(kAll, lane | 8) == 8;
  if (lane < 16) {
    good &= __shfl_sync(0xffffu, lane, 15) == 15;
  } else {
    good &= __shfl_sync(0xffff0000u, lane, 16) == 16;
  }
  good &= __syncthreads_count(lane == 0) == 2 && __syncthreads_or(lane == 9) != 0;
  good &= __syncthreads_and(lane < 31) == 0;
  if (!good) atomicAdd(&counter, 1ull);
}

__global__ void uses_atomics() {
  __shared__ SharedArray<int, 1> sum_is_right;
  static unsigned sum;
  static int low, high;
  if (threadIdx.x == 0) sum = 0, low = high = 0;
  __syncthreads();
  atomicAdd(&sum, threadIdx.x);
  atomicMin(&low, -static_cast<int>(threadIdx.x));
  atomicMax(&high, static_cast<int>(threadIdx.x));
  __syncthreads();
  const bool right = sum == 2016 && low == -63 && high == 63;
  if (threadIdx.x == 0) sum_is_right.store(0, right);
  __syncthreads();
  if (sum_is_right.load(0) == 0) atomicExch(&counter, 1ull);
  if (threadIdx.x == 0 && atomicCAS(&sum, 2016u, 1u) != 2016) atomicExch(&counter, 1ull);
}

__global__ void fills_dynamic_shared() {
  unsigned char* bytes = cuda_host::dynamic_shared<unsigned char>();
  if (bytes[threadIdx.x] != 0xff) atomicAdd(&counter, 1ull);
  bytes[threadIdx.x] = 0;
}

// Blocks pass numbers around, each with shared memory of its own.
__global__ void passes_around_the_grid() {
  __shared__ SharedArray<int, kThreads> cells;
  static int sent[kBlocks];
  const int t = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  for (int round = 0; round < 3; ++round) {
    cells.store(t, block + round);
    if (t == 0) sent[block] = block * 10 + round;
    grid_barrier();
    bool good = cells.load(kThreads - 1 - t) == block + round;
    const int next = (block + 1) % kBlocks;
    good &= sent[next] == next * 10 + round;
    if (!good) atomicAdd(&counter, 1ull);
    grid_barrier();
  }
}

__global__ void orders_shared_memory_of_the_grid() {
  __shared__ SharedArray<int, 2> cells;
  if (threadIdx.x < 2) cells.store(static_cast<int>(threadIdx.x), static_cast<int>(blockIdx.x));
  __syncthreads();
  if (blockIdx.x == 1) __syncthreads();  // blocks have barriers of their own
  if (cells.load(0) + cells.load(1) != 2 * static_cast<int>(blockIdx.x)) atomicAdd(&counter, 1ull);
  grid_barrier();
}

// ---- Wrong -----------------------------------------------------------------

__global__ void drops_a_barrier() {
  __shared__ SharedArray<int, kThreads> cells;
  const int t = static_cast<int>(threadIdx.x);
  cells.store(t, t);
  output[t] = cells.load(kThreads - 1 - t);
}

__global__ void overwrites_what_others_read() {
  __shared__ SharedArray<int, kThreads> cells;
  const int t = static_cast<int>(threadIdx.x);
  cells.store(t, t);
  __syncthreads();
  output[t] = cells.load(0);
  if (t == 0) cells.store(0, 1);
}

__global__ void writes_one_cell_twice() {
  __shared__ SharedArray<int, 1> cell;
  cell.store(0, static_cast<int>(threadIdx.x));
}

__global__ void reads_what_nobody_wrote() {
  __shared__ SharedArray<int, kThreads> cells;
  const int t = static_cast<int>(threadIdx.x);
  if (t > 0) cells.store(t, t);
  __syncthreads();
  output[t] = cells.load(t);
}

__global__ void leaves_the_array() {
  __shared__ SharedArray<int, kThreads> cells;
  cells.store(static_cast<int>(threadIdx.x) + 1, 0);
}

__global__ void shares_across_warps_without_barrier() {
  __shared__ SharedArray<int, kThreads> cells;
  const int t = static_cast<int>(threadIdx.x);
  cells.store(t, t);
  __syncwarp();
  output[t] = cells.load((t + 32) % kThreads);
}

__global__ void diverges_at_a_barrier() {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void leaves_before_a_barrier() {
  if (threadIdx.x == 3) return;
  __syncthreads();
}

__global__ void shuffles_half_a_warp() {
  if (threadIdx.x % 32 < 16) output[threadIdx.x] = __shfl_sync(kAll, 1, 0);
}

__global__ void shuffles_in_two_places() {
  if (threadIdx.x % 32 < 16) {
    output[threadIdx.x] = __shfl_sync(kAll, 1, 0);
  } else {
    output[threadIdx.x] = __shfl_sync(kAll, 2, 0);
  }
}

__global__ void forgets_itself_in_a_mask() { output[threadIdx.x] = __shfl_sync(0xfffffffeu, 1, 1); }

__global__ void reads_a_lane_outside_the_mask() {
  if (threadIdx.x % 32 < 16) output[threadIdx.x] = __shfl_sync(0xffffu, 1, 20);
}

__global__ void waits_crosswise() {
  if (threadIdx.x % 32 == 0) __syncwarp();
  __syncthreads();
}

__global__ void diverges_at_a_grid_barrier() {
  if (blockIdx.x == 1) {
    grid_barrier();
  } else {
    grid_barrier();
  }
}

__global__ void leaves_before_a_grid_barrier() {
  if (blockIdx.x == 2) return;
  grid_barrier();
}

__global__ void waits_in_block_and_grid() {
  if (threadIdx.x == 5) __syncthreads();
  grid_barrier();
}

__global__ void shares_across_grid_barrier_dropped() {
  __shared__ SharedArray<int, kThreads> cells;
  const int t = static_cast<int>(threadIdx.x);
  grid_barrier();
  cells.store(t, t);
  output[t] = cells.load(kThreads - 1 - t);
}

__global__ void waits_for_others_alone() { grid_barrier(); }

// Races on global memory show as a difference between seeds.
__global__ void depends_on_the_schedule() {
  atomicExch(&counter, static_cast<unsigned long long>(threadIdx.x));
}

// Leaves the most steps that one warp was ahead of the other.
__global__ void lets_warps_run_ahead() {
  static int steps[kBlocks][kThreads / 32];
  int* const own = steps[blockIdx.x];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  own[warp] = 0;
  __syncthreads();
  for (int step = 1; step <= 20; ++step) {
    __syncwarp();
    if (threadIdx.x % 32 != 0) continue;
    own[warp] = step;
    const int ahead = step - own[1 - warp];
    if (ahead > 0) atomicMax(&counter, static_cast<unsigned long long>(ahead));
  }
}

const std::map<std::string, void (*)()> kernels = {
#define KERNEL(name) {#name, name}
    KERNEL(reverses_through_shared),
    KERNEL(shares_within_a_warp),
    KERNEL(asks_the_warp),
    KERNEL(uses_atomics),
    KERNEL(fills_dynamic_shared),
    KERNEL(passes_around_the_grid),
    KERNEL(orders_shared_memory_of_the_grid),
    KERNEL(drops_a_barrier),
    KERNEL(overwrites_what_others_read),
    KERNEL(writes_one_cell_twice),
    KERNEL(reads_what_nobody_wrote),
    KERNEL(leaves_the_array),
    KERNEL(shares_across_warps_without_barrier),
    KERNEL(diverges_at_a_barrier),
    KERNEL(leaves_before_a_barrier),
    KERNEL(shuffles_half_a_warp),
    KERNEL(shuffles_in_two_places),
    KERNEL(forgets_itself_in_a_mask),
    KERNEL(reads_a_lane_outside_the_mask),
    KERNEL(waits_crosswise),
    KERNEL(diverges_at_a_grid_barrier),
    KERNEL(leaves_before_a_grid_barrier),
    KERNEL(waits_in_block_and_grid),
    KERNEL(shares_across_grid_barrier_dropped),
    KERNEL(waits_for_others_alone),
    KERNEL(depends_on_the_schedule),
    KERNEL(lets_warps_run_ahead),
#undef KERNEL
};

}  // namespace

// Launches a kernel, those of the grid cooperatively, and returns what went wrong, or the counter
// as text.
extern "C" __attribute__((visibility("default"))) const char* run(const char* kernel,
                                                                  std::uint64_t seed) {
  static std::string result;
  counter = 0;
  try {
    cuda_host::launch({.grid = {kBlocks},
                       .block = {kThreads},
                       .dynamic_bytes = kThreads,
                       .seed = seed,
                       .together = std::string(kernel).find("grid") != std::string::npos},
                      kernels.at(kernel));
    result = std::to_string(counter);
  } catch (const cuda_host::Error& error) {
    result = error.what();
  }
  return result.c_str();
}
