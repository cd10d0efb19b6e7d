// SPDX-License-Identifier: BSD-3-Clause
//
// All pairs of blocks, each block with one partner at a time.
//
// In round r of T (odd; a block that does not exist makes it so) meet the blocks with i + j = r
// modulo T, among them one with itself. A task may therefore write to both of its blocks without a
// lock, and every block meets its partners in the same order whatever the number of threads: sums
// over partners come out the same. There is no barrier between rounds; a task waits for its
// two blocks only.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "cpu/lists/parallel.h"

namespace fused_rankloss::cpu::triplet {

// Says of two blocks, at its end, through how many rounds they are.
struct RoundPlayed {
  std::atomic<int64_t>& one;
  std::atomic<int64_t>& other;
  int64_t rounds;

  ~RoundPlayed() {
    one.store(rounds, std::memory_order_release);
    other.store(rounds, std::memory_order_release);
  }
};

// Calls body(i, j, worker) once for every pair of blocks i <= j < num_blocks.
template <typename Body>
void run_tournament(const Team& team, int64_t num_blocks, const Body& body) {
  if (num_blocks == 0) return;
  const int64_t rounds = num_blocks | 1, tasks_each = (rounds + 1) / 2;
  std::vector<std::atomic<int64_t>> played(rounds);  // rounds that a block is through with
  const auto await = [&](int64_t block, int64_t round) {
    // Tasks are drawn in order, so that whoever plays the round before is at work.
    while (played[block].load(std::memory_order_acquire) < round) std::this_thread::yield();
  };
  team.run(rounds * tasks_each, [&](int64_t task, int worker) {
    const int64_t round = task / tasks_each, step = task % tasks_each;
    const int64_t middle = (round % 2 == 0 ? round : round + rounds) / 2;
    const int64_t up = (middle + step) % rounds, down = (middle - step + rounds) % rounds;
    const int64_t i = up < down ? up : down, j = up < down ? down : up;
    await(i, round);
    await(j, round);
    // Also where the body throws: tasks that were drawn before wait for it.
    const RoundPlayed end{played[i], played[j], round + 1};
    if (j < num_blocks) body(i, j, worker);
  });
}

}  // namespace fused_rankloss::cpu::triplet
