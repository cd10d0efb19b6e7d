// SPDX-License-Identifier: BSD-3-Clause
//
// The backward pass of every loss over lists; the formula is in args/lists_backward.h.
//
// Mapping      a thread a slot
// Memory       reads raw_grad and writes grad_scores once; what belongs to a list is cached
// Numerics     fp64, rounded once
// Determinism  no thread meets another
#pragma once

#include "args/lists_backward.h"
#include "cuda/lists/lists.cuh"
#include "cuda/lists/policy.h"

namespace fused_rankloss::cuda {

__device__ __forceinline__ double slot_gradient(const ListsBackwardArgs& args, int64_t slot,
                                                int64_t list) {
  switch (args.raw_type) {
    case RawGradType::kInt32:
      return args.grad<int32_t>(slot, list);
    case RawGradType::kFloat:
      return args.grad<float>(slot, list);
    default:
      return args.grad<double>(slot, list);
  }
}

template <typename Stored>
__global__ void __launch_bounds__(kBackwardThreads)
    lists_backward_kernel(const __grid_constant__ ListsBackwardArgs args) {
  const int64_t slot = static_cast<int64_t>(blockIdx.x) * kBackwardThreads + threadIdx.x;
  if (slot >= args.lists.num_slots) return;
  const int64_t list = list_of(args.lists, slot);
  const bool real = real_range(args.lists, list, slot).size() > 0;
  static_cast<Stored*>(args.grad_scores)[slot] =
      round_to<Stored>(real ? slot_gradient(args, slot, list) : 0.0);
}

template <typename Stored, class Queue>
void run_lists_backward(Queue& queue, const ListsBackwardArgs& args) {
  check_slots(args.lists, queue.op());
  if (args.raw_type == RawGradType::kInt64) {
    throw std::invalid_argument(
        std::string(queue.op()) +
        ": expected raw_grad of dtype int32, float32 or float64 on CUDA, got int64");
  }
  const int64_t blocks = (args.lists.num_slots + kBackwardThreads - 1) / kBackwardThreads;
  queue.launch(blocks, kBackwardThreads, lists_backward_kernel<Stored>, args);
}

}  // namespace fused_rankloss::cuda
