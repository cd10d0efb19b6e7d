// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a grid on one thread: blocks side by side, their warps by turns, lanes of a warp in groups
// that stand at the same instruction. Which block and warp goes on, and for how long, is drawn by
// the seed. Memory is sequentially consistent: what a missing fence does, does not show.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <memory>

#include "fault.h"
#include "grid.h"
#include "lanes.h"
#include "memory.h"
#include "settings.h"

namespace ptx {

Settings settings;
Running running;

namespace {
uint64_t random_state = 1;
}  // namespace

void seed_random(uint64_t seed) {
  random_state = 88172645463325252ull ^ seed * 0x9e3779b97f4a7c15ull;
  for (int i = 0; i < 20; ++i) random_bits();
}

uint64_t random_bits() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state * 2685821657736338717ull >> 11;
}

void unsupported(const std::string& text) { throw Fault{text}; }

namespace {

std::string describe(const Kernel& kernel, size_t instruction) {
  const std::string line = source_line(kernel, instruction);
  return kernel.origins[instruction].text + (line.empty() ? "" : "    (" + line + ")");
}

}  // namespace

void fault(const Warp& warp, const Instruction& i, uint32_t lanes, const std::string& text) {
  const Kernel& kernel = *warp.kernel;
  const Block& block = *warp.block;
  char place[120];
  snprintf(place, sizeof place, "block (%u, %u, %u), warp %d, lanes %08x", block.index[0],
           block.index[1], block.index[2], warp.index, lanes);
  throw Fault{text + "\n    by " + readable_name(kernel.name) + "\n    at " +
              describe(kernel, static_cast<size_t>(&i - kernel.code.data())) + "\n    in " + place};
}

namespace {

uint32_t operand_of_lane(const Warp& warp, const Instruction& i, int operand, int lane) {
  return row<uint32_t>(warp, i.operands[operand])[lane];
}

uint32_t members_of_lane(const Warp& warp, const Instruction& i, int lane) {
  return i.members == kNoMembers ? kAllLanes : operand_of_lane(warp, i, i.members, lane);
}

void advance(Warp& warp, uint32_t lanes) {
  for_each_lane(lanes, [&](int lane) { ++warp.position[lane]; });
}
void move_to(Warp& warp, uint32_t lanes, uint32_t position) {
  for_each_lane(lanes, [&](int lane) { warp.position[lane] = position; });
}

class Grid {
 public:
  Grid(Kernel& kernel, const LaunchShape& shape) : kernel_(kernel), shape_(shape) {
    threads_ = static_cast<int>(shape.block[0] * shape.block[1] * shape.block[2]);
    warps_ = (threads_ + kLanes - 1) / kLanes;
    total_ = uint64_t{shape.grid[0]} * shape.grid[1] * shape.grid[2];
    const uint32_t modules = kernel.module->shared_bytes;
    shared_bytes_ = kernel.static_shared;
    if (kernel.uses_dynamic_shared || modules > 0) {
      shared_bytes_ = ((shared_bytes_ + 127) / 128 * 128 + modules + 15) / 16 * 16;
    }
    shared_bytes_ += shape.dynamic_shared;
  }

  void run() {
    const uint64_t room =
        shape_.cooperative ? total_ : std::min<uint64_t>(total_, settings.resident_blocks);
    uint64_t next = 0;
    std::vector<std::unique_ptr<Block>> spare;
    while (next < total_ || !blocks_.empty()) {
      while (next < total_ && blocks_.size() < room) {
        std::unique_ptr<Block> block = std::make_unique<Block>();
        if (!spare.empty()) {
          block = std::move(spare.back());
          spare.pop_back();
        }
        begin(*block, next++);
        blocks_.push_back(std::move(block));
      }
      const bool warps_went_on = run_turns();
      const bool copies_went_on = finish_bulk_copies(!warps_went_on);
      if (!warps_went_on && !copies_went_on) refuse_to_wait("no warp can go on");
      if (executed_ > static_cast<uint64_t>(settings.instruction_limit)) {
        refuse_to_wait("too many instructions: a loop that does not end?");
      }
      for (size_t b = 0; b < blocks_.size();) {
        if (blocks_[b]->alive > 0) {
          ++b;
          continue;
        }
        finish_bulk_copies(true);
        spare.push_back(std::move(blocks_[b]));
        blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(b));
      }
    }
    kernel_.instructions += executed_;
  }

 private:
  void begin(Block& block, uint64_t linear) {
    block.linear = linear;
    block.index[0] = static_cast<uint32_t>(linear % shape_.grid[0]);
    block.index[1] = static_cast<uint32_t>(linear / shape_.grid[0] % shape_.grid[1]);
    block.index[2] = static_cast<uint32_t>(linear / shape_.grid[0] / shape_.grid[1]);
    block.threads = block.alive = threads_;
    std::fill(std::begin(block.barriers), std::end(block.barriers), Block::Barrier{});
    const size_t local_bytes = 32ull * kernel_.local_bytes;
    const size_t shared_room = (shared_bytes_ + 63) / 64 * 64;
    const size_t needed = shared_room + (kernel_.register_bytes + local_bytes + 64) * warps_;
    if (block.memory.size() < needed + 1024) block.memory.resize(needed + 1024);
    const uint64_t base = reinterpret_cast<uint64_t>(block.memory.data());
    char* place = reinterpret_cast<char*>((base + 1023) / 1024 * 1024);
    // What memory and registers hold at first is nothing to rely on.
    static constexpr uint8_t kJunk[] = {0xff, 0x7b, 0xa5};
    memset(place, kJunk[random_bits() % 3], needed);
    block.shared = place;
    block.shared_bytes = shared_bytes_;
    block.shared_written.assign(shared_bytes_, 0);
    place += shared_room;
    block.warps.resize(static_cast<size_t>(warps_));
    for (int w = 0; w < warps_; ++w) {
      Warp& warp = block.warps[w];
      warp = Warp{};
      warp.registers = place;
      warp.local = place + kernel_.register_bytes;
      place += kernel_.register_bytes + local_bytes;
      warp.constants = kernel_.constants.data();
      warp.block = &block;
      warp.kernel = &kernel_;
      warp.index = w;
      const int lanes = std::min(kLanes, threads_ - kLanes * w);
      warp.alive = warp.ready = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
      memset(warp.position, 0, sizeof warp.position);
    }
  }

  // One turn of every warp that can go on; false where none can.
  bool run_turns() {
    bool any = false;
    const size_t first_block = random_bits() % blocks_.size();
    for (size_t b = 0; b < blocks_.size(); ++b) {
      Block& block = *blocks_[(b + first_block) % blocks_.size()];
      const int first_warp = static_cast<int>(random_bits() % static_cast<uint64_t>(warps_));
      for (int w = 0; w < warps_; ++w) {
        Warp& warp = block.warps[static_cast<size_t>((w + first_warp) % warps_)];
        if (warp.ready == 0) continue;
        any = true;
        run_warp(warp, 1 + static_cast<int>(random_bits() % settings.quantum));
      }
    }
    return any;
  }

  // Some of the copies under way, or all of them.
  bool finish_bulk_copies(bool all) {
    if (running.bulk_copies.empty()) return false;
    std::vector<std::function<void()>> copies = std::move(running.bulk_copies);
    running.bulk_copies.clear();
    bool any = false;
    for (std::function<void()>& copy : copies) {
      if (all || random_bits() % 3 == 0) {
        copy();
        any = true;
      } else {
        running.bulk_copies.push_back(std::move(copy));
      }
    }
    return any;
  }

  void run_warp(Warp& warp, int turn) {
    while (turn > 0 && warp.ready) {
      const int used = run_group(warp, turn);
      turn -= used;
      executed_ += static_cast<uint64_t>(used);
      running.clock += static_cast<uint64_t>(used);
    }
  }

  // The lanes of a warp that go on together, and the next position of the others.
  struct Group {
    uint32_t lanes, position, others;
  };

  // The lowest position, since there others may join; now and then another one.
  Group choose_group(const Warp& warp, int& steps) const {
    uint32_t position = ~0u;
    for_each_lane(warp.ready,
                  [&](int lane) { position = std::min(position, warp.position[lane]); });
    const auto group_at = [&](uint32_t at) {
      Group group{0, at, ~0u};
      for_each_lane(warp.ready, [&](int lane) {
        if (warp.position[lane] == at) {
          group.lanes |= 1u << lane;
        } else {
          group.others = std::min(group.others, warp.position[lane]);
        }
      });
      return group;
    };
    Group group = group_at(position);
    const bool diverged = group.others != ~0u;
    if (diverged && settings.perturb && random_bits() % settings.perturb == 0) {
      uint32_t lanes = warp.ready;
      for (uint64_t skip = random_bits() % std::popcount(warp.ready); skip > 0; --skip) {
        lanes &= lanes - 1;
      }
      group = group_at(warp.position[std::countr_zero(lanes)]);
      group.others = ~0u;
      steps = std::min(steps, 1 + static_cast<int>(random_bits() % 40));
    }
    return group;
  }

  // Executes for one group until it splits, waits, meets others, or its turn is over. Positions of
  // lanes are stored at the end only, or where lanes part. Returns the number of instructions.
  int run_group(Warp& warp, int turn) {
    int steps = turn;
    Group group = choose_group(warp, steps);
    const int begin = steps;
    const Instruction* code = kernel_.code.data();
    while (steps > 0) {
      const Instruction& i = code[group.position];
      ++i.executions;
      --steps;
      uint32_t lanes = group.lanes;
      if (i.guard != kNoOperand) {
        const uint32_t guard = *row<uint32_t>(warp, i.guard);
        lanes &= i.negated_guard ? ~guard : guard;
      }
      if (i.kind == Kind::plain || lanes == 0) {
        if (lanes) i.handler(warp, i, lanes);
        if (++group.position >= group.others) break;
        continue;
      }
      if (i.kind == Kind::branch && lanes == group.lanes) {
        group.position = i.target;
        if (group.position >= group.others) break;
        continue;
      }
      if (i.kind == Kind::warp_sync && lanes == group.lanes && has_all_members(warp, i, lanes)) {
        i.handler(warp, i, lanes);
        if (++group.position >= group.others) break;
        continue;
      }
      // Lanes part here, or wait.
      move_to(warp, group.lanes & ~lanes, group.position + 1);
      move_to(warp, lanes, group.position);
      end_group(warp, i, lanes);
      return begin - steps;
    }
    move_to(warp, group.lanes, group.position);
    return begin - steps;
  }

  // Whether all that a warp-wide instruction waits for are here.
  static bool has_all_members(const Warp& warp, const Instruction& i, uint32_t lanes) {
    const uint32_t members = members_of_lane(warp, i, std::countr_zero(lanes));
    if ((members & warp.alive) != lanes) return false;
    bool same = true;
    for_each_lane(lanes, [&](int lane) { same &= members_of_lane(warp, i, lane) == members; });
    return same;
  }

  void end_group(Warp& warp, const Instruction& i, uint32_t lanes) {
    switch (i.kind) {
      case Kind::branch:
        return move_to(warp, lanes, i.target);
      case Kind::branch_table:
        return for_each_lane(lanes, [&](int lane) {
          const uint32_t index = operand_of_lane(warp, i, 0, lane);
          if (index >= i.more.size()) fault(warp, i, 1u << lane, "a branch beyond its table");
          warp.position[lane] = i.more[index];
        });
      case Kind::warp_sync:
      case Kind::warp_barrier:
        return wait_for_members(warp, i, lanes);
      case Kind::block_barrier:
        return arrive(warp, i, lanes);
      case Kind::exit:
        return retire(warp, lanes);
      case Kind::trap:
        fault(warp, i, lanes, "trap");
      default:
        return;
    }
  }

  void wait_for_members(Warp& warp, const Instruction& i, uint32_t lanes) {
    for_each_lane(lanes, [&](int lane) {
      warp.members[lane] = members_of_lane(warp, i, lane);
      if (!has_lane(warp.members[lane], lane)) {
        fault(warp, i, 1u << lane, "a lane that is not in its own membermask");
      }
    });
    warp.in_warp_wait |= lanes;
    warp.ready &= ~lanes;
    release_waiting(warp);
  }

  // Those lanes go on whose members have all come, or ended.
  void release_waiting(Warp& warp) {
    uint32_t todo = warp.in_warp_wait;
    while (todo) {
      const int lane = std::countr_zero(todo);
      const uint32_t members = warp.members[lane];
      const Instruction& i = kernel_.code[warp.position[lane]];
      uint32_t together = 0;
      for_each_lane(warp.in_warp_wait & members, [&](int other) {
        const bool same_place = i.kind == Kind::warp_barrier
                                    ? kernel_.code[warp.position[other]].kind == i.kind
                                    : warp.position[other] == warp.position[lane];
        if (warp.members[other] == members && same_place) together |= 1u << other;
      });
      todo &= ~together & ~(1u << lane);
      if ((members & warp.alive & ~together) != 0) continue;
      warp.in_warp_wait &= ~together;
      warp.ready |= together;
      if (i.kind == Kind::warp_sync) i.handler(warp, i, together);
      advance(warp, together);
    }
  }

  void arrive(Warp& warp, const Instruction& i, uint32_t lanes) {
    Block& block = *warp.block;
    const int some_lane = std::countr_zero(lanes);
    const uint32_t id = operand_of_lane(warp, i, 1, some_lane);
    if (id > 15) fault(warp, i, lanes, "barrier " + std::to_string(id) + " of 16");
    const bool counted = i.operands[2] != kNoOperand;
    const int expected = counted ? static_cast<int>(operand_of_lane(warp, i, 2, some_lane)) : -1;
    Block::Barrier& barrier = block.barriers[id];
    if (barrier.arrived && barrier.expected != expected) {
      fault(warp, i, lanes, "a barrier at which others expect another number of threads");
    }
    if (i.aligned && counted && expected % kLanes) {
      fault(warp, i, lanes, "a barrier of a number of threads that is no multiple of 32");
    }
    barrier.expected = expected;
    barrier.arrived += std::popcount(lanes);
    if (static_cast<BarrierMode>(i.mode) == BarrierMode::arrive) {
      advance(warp, lanes);
    } else {
      warp.ready &= ~lanes;
      warp.in_block_wait |= lanes;
      for_each_lane(lanes, [&](int lane) { warp.barrier[lane] = static_cast<uint8_t>(id); });
    }
    try_barrier(block, static_cast<int>(id));
  }

  void try_barrier(Block& block, int id) {
    Block::Barrier& barrier = block.barriers[id];
    const int wanted = barrier.expected >= 0 ? barrier.expected : block.alive;
    if (barrier.arrived == 0 || barrier.arrived < wanted) return;
    if (barrier.arrived > wanted) {
      throw Fault{"more threads at a barrier than it waits for\n    by " +
                  readable_name(kernel_.name)};
    }
    barrier = {};
    const Votes votes = collect_votes(block, id);
    for (Warp& warp : block.warps) pass_barrier(warp, id, votes);
  }

  // What bar.red combines.
  struct Votes {
    bool any = false, all = true;
    uint32_t count = 0;
  };

  Votes collect_votes(Block& block, int id) const {
    Votes votes;
    for (Warp& warp : block.warps) {
      for_each_lane(warp.in_block_wait, [&](int lane) {
        const Instruction& i = kernel_.code[warp.position[lane]];
        if (warp.barrier[lane] != id || i.operands[3] == kNoOperand) return;
        const bool vote = has_lane(predicate(warp, i, 3), lane);
        votes.any |= vote;
        votes.all &= vote;
        votes.count += vote;
      });
    }
    return votes;
  }

  void pass_barrier(Warp& warp, int id, const Votes& votes) {
    uint32_t position = ~0u;
    for_each_lane(warp.in_block_wait, [&](int lane) {
      if (warp.barrier[lane] != id) return;
      const Instruction& i = kernel_.code[warp.position[lane]];
      if (i.aligned && position != ~0u && position != warp.position[lane]) {
        fault(warp, i, 1u << lane, "lanes of a warp at different barriers");
      }
      if (i.aligned) position = warp.position[lane];
      switch (static_cast<BarrierMode>(i.mode)) {
        case BarrierMode::count:
          result_row<uint32_t>(warp, i.operands[0])[lane] = votes.count;
          break;
        case BarrierMode::all:
          write_predicate(warp, i.operands[0], 1u << lane, votes.all ? kAllLanes : 0);
          break;
        case BarrierMode::any:
          write_predicate(warp, i.operands[0], 1u << lane, votes.any ? kAllLanes : 0);
          break;
        default:
          break;
      }
      ++warp.position[lane];
      warp.in_block_wait &= ~(1u << lane);
      warp.ready |= 1u << lane;
    });
  }

  void retire(Warp& warp, uint32_t lanes) {
    warp.alive &= ~lanes;
    warp.ready &= ~lanes;
    Block& block = *warp.block;
    block.alive -= std::popcount(lanes);
    if (warp.in_warp_wait) release_waiting(warp);
    if (block.alive == 0) return;
    for (int id = 0; id < 16; ++id) {
      if (block.barriers[id].arrived && block.barriers[id].expected < 0) try_barrier(block, id);
    }
  }

  [[noreturn]] void refuse_to_wait(const std::string& why) const {
    std::string text = "a hang: " + why + "\n    by " + readable_name(kernel_.name);
    int shown = 0;
    for (const auto& block : blocks_) {
      for (const Warp& warp : block->warps) {
        if (warp.alive == 0 || ++shown > 12) continue;
        const int lane = std::countr_zero(warp.alive);
        char state[160];
        snprintf(state, sizeof state,
                 "\n    block %llu, warp %d: alive %08x, waiting for the warp %08x, for the block "
                 "%08x; lane %d at ",
                 static_cast<unsigned long long>(block->linear), warp.index, warp.alive,
                 warp.in_warp_wait, warp.in_block_wait, lane);
        text += state + describe(kernel_, warp.position[lane]);
      }
    }
    throw Fault{text};
  }

  Kernel& kernel_;
  const LaunchShape& shape_;
  int threads_ = 0, warps_ = 0;
  uint64_t total_ = 0, executed_ = 0;
  uint32_t shared_bytes_ = 0;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace

void run(Kernel& kernel, const LaunchShape& shape) {
  // Where cooperative groups keep what a grid's barrier counts.
  static uint64_t grid_workspace[64];
  memset(grid_workspace, 0, sizeof grid_workspace);
  const uint64_t workspace = reinterpret_cast<uint64_t>(grid_workspace);
  add_allocation(workspace, sizeof grid_workspace, "the grid's barrier", false);
  running.shape = &shape;
  running.grid_workspace = shape.cooperative ? workspace : 0;
  running.bulk_copies.clear();
  for (Instruction& i : kernel.code) {
    i.begin = 1;
    i.end = 0;
  }
  ++kernel.launches;
  Grid(kernel, shape).run();
}

}  // namespace ptx
