// SPDX-License-Identifier: BSD-3-Clause
//
// All pairs of blocks, scheduled as a round-robin tournament: each block has one partner at a time.
//
// In round r of T (T is odd; a dummy block makes it so) the pairs are the blocks with i + j = r
// modulo T, one of which is paired with itself. A task may therefore write to both of its blocks
// without a lock. Every block meets its partners in the same order for any number of threads, and
// so do sums over partners. There is no barrier between rounds; a task waits for its two blocks
// only.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "cpu/lists/parallel.h"

namespace fused_rankloss::cpu::triplet {

// On destruction, publishes the number of rounds that two blocks have finished.
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
void run_tournament(const ThreadTeam& team, int64_t num_blocks, const Body& body) {
  if (num_blocks == 0) return;
  const int64_t rounds = num_blocks | 1, tasks_each = (rounds + 1) / 2;
  std::vector<std::atomic<int64_t>> played(rounds);  // number of rounds that a block has finished
  const auto await = [&](int64_t block, int64_t round) {
    // Tasks are fetched in order, so that the task of the previous round is already running.
    while (played[block].load(std::memory_order_acquire) < round) std::this_thread::yield();
  };
  team.run(rounds * tasks_each, [&](int64_t task, int worker) {
    const int64_t round = task / tasks_each, step = task % tasks_each;
    const int64_t middle = (round % 2 == 0 ? round : round + rounds) / 2;
    const int64_t up = (middle + step) % rounds, down = (middle - step + rounds) % rounds;
    const int64_t i = up < down ? up : down, j = up < down ? down : up;
    await(i, round);
    await(j, round);
    // Also if the body throws: tasks that were fetched before wait for these blocks.
    const RoundPlayed end{played[i], played[j], round + 1};
    if (j < num_blocks) body(i, j, worker);
  });
}

}  // namespace fused_rankloss::cpu::triplet
