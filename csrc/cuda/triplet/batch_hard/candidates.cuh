// SPDX-License-Identifier: BSD-3-Clause
//
// What a search for hardest pairs leaves behind: a few candidates of each row.
//
// Memory       144 bytes a row for both sides
// Candidates   kSearchSlots a row and side. What a slot gives up or refuses goes to the next one
//              while the row still wants it; `rest` is the greatest that went nowhere. All are
//              atomic maxima of integers that sort as (hardness, column).
// Determinism  Which candidates are left depends on the schedule; that the winner is among them, or
//              that `rest` tells that it may not be, does not, and nothing else is used.
#pragma once

#include <cfloat>

#include "cuda/triplet/explicit.cuh"

namespace fused_rankloss::cuda::triplet {

// Candidates of one side; all 0 at first.
struct Candidates {
  unsigned long long* slots;  // [N, kSearchSlots], hardness above column
  uint32_t* best;             // [N], the greatest hardness
  uint32_t* rest;             // [N]
};

// `limit`: what lies below it is no candidate, now or later.
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

// What a pair must reach to be a candidate of the row, by what is known so far.
__device__ __forceinline__ float candidate_limit(const Candidates& of, const float* bounds,
                                                 int32_t row) {
  // Other blocks write it: not to be taken from a register or the first-level cache.
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
