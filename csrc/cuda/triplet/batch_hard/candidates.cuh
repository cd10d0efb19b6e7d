// SPDX-License-Identifier: BSD-3-Clause
//
// The output of a search for hardest pairs: a few candidates of each row.
//
// Memory       144 bytes per row for both sides
// Candidates   kSearchSlots per row and side. An entry that a slot evicts or rejects goes to the
//              next slot as long as it reaches the row's limit; `rest` is the greatest dropped
//              entry. All are atomic maxima of integers that sort as (hardness, column).
// Determinism  The remaining candidates depend on the schedule. But either the hardest pair is
// among
//              them, or `rest` shows that it may not be, and the results use nothing else.
#pragma once

#include <cfloat>

#include "cuda/triplet/explicit.cuh"

namespace fused_rankloss::cuda::triplet {

// Candidates of one side; all initially 0.
struct Candidates {
  unsigned long long* slots;  // [N, kSearchSlots], hardness above column
  uint32_t* best;             // [N], the greatest hardness
  uint32_t* rest;             // [N]
};

// `limit`: entries below it are no candidates, now or later.
__device__ __forceinline__ void add_candidate(const Candidates& to, int32_t row, int32_t column,
                                              float hardness, float limit) {
  const uint32_t key = ordered_key(hardness);
  unsigned long long entry =
      static_cast<unsigned long long>(key) << 32 | static_cast<uint32_t>(column);
  unsigned long long* const slots = to.slots + int64_t{row} * kSearchSlots;
#pragma unroll 1
  for (int hop = 0; hop < kSearchSlots; ++hop) {
    const unsigned long long before = atomicMax(&slots[(column + hop) % kSearchSlots], entry);
    entry = before < entry ? before : entry;
    if (entry == 0 || value_of_key(static_cast<uint32_t>(entry >> 32)) < limit) break;
  }
  if (entry != 0) atomicMax(&to.rest[row], static_cast<uint32_t>(entry >> 32));
  atomicMax(&to.best[row], key);
}

// The least hardness of a candidate of the row, given the greatest hardness so far.
__device__ __forceinline__ float candidate_limit(const Candidates& of, const float* bounds,
                                                 int32_t row) {
  // Volatile, since other blocks write it: neither a register nor L1 may serve the load.
  const uint32_t best = *const_cast<const volatile uint32_t*>(&of.best[row]);
  return best == 0 ? -FLT_MAX : value_of_key(best) - 2 * bounds[row];
}

template <class Queue>
Candidates new_candidates(Queue& queue, int64_t rows) {
  Candidates candidates{queue.template allocate<unsigned long long>(rows * kSearchSlots),
                        queue.template allocate<uint32_t>(rows),
                        queue.template allocate<uint32_t>(rows)};
  queue.zero(candidates.slots, rows * kSearchSlots);
  queue.zero(candidates.best, rows);
  queue.zero(candidates.rest, rows);
  return candidates;
}

}  // namespace fused_rankloss::cuda::triplet
