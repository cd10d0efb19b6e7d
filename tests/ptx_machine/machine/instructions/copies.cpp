// SPDX-License-Identifier: BSD-3-Clause
//
// cp.async: each copy is done at once, or when it is waited for. Until then its target holds junk.
#include <cstring>

#include "encoder.h"
#include "lanes.h"
#include "settings.h"

namespace ptx {
namespace {

constexpr int kJunk = 0xee;

// cp.async.ca.shared.global [to], [from], bytes
void copy(Warp& warp, const Instruction& i, uint32_t lanes) {
  const uint32_t bytes = i.elements;
  uint64_t to[kLanes], from[kLanes];
  addresses(warp, i.operands[0], i.address_size, i.immediate, to);
  addresses(warp, i.operands[1], 8, static_cast<int32_t>(i.more[0]), from);
  reach(warp, i, lanes, Space::shared, Access::store, to, bytes);
  reach(warp, i, lanes, Space::global, Access::load, from, bytes);
  const bool late = settings.late_copies && random_bits() % 2;
  for_each_lane(lanes, [&](int lane) {
    char* target = reinterpret_cast<char*>(to[lane]);
    if (late) {
      memset(target, kJunk, bytes);
      warp.copies.push_back({lane, to[lane], from[lane], bytes, warp.committed_copies[lane]});
    } else {
      memcpy(target, reinterpret_cast<const char*>(from[lane]), bytes);
    }
  });
}

void commit(Warp& warp, const Instruction&, uint32_t lanes) {
  for_each_lane(lanes, [&](int lane) { ++warp.committed_copies[lane]; });
}

// wait_group n: all but the last n groups are over; wait_all: also what was not committed.
template <bool all>
void wait(Warp& warp, const Instruction& i, uint32_t lanes) {
  std::erase_if(warp.copies, [&](const Warp::Copy& copy) {
    const int64_t still_open = int64_t{warp.committed_copies[copy.lane]} - i.immediate;
    if (!has_lane(lanes, copy.lane) || !(all || copy.group < still_open)) return false;
    memcpy(reinterpret_cast<char*>(copy.to), reinterpret_cast<const char*>(copy.from), copy.bytes);
    return true;
  });
}

}  // namespace

bool encode_copies(Encoder& e) {
  const Statement& s = e.statement();
  if (!s.is("cp") || s.has("bulk")) return false;
  Instruction& i = e.instruction();
  if (s.has("commit_group")) {
    e.handle(commit);
  } else if (s.has("wait_all")) {
    e.handle(wait<true>);
  } else if (s.has("wait_group")) {
    i.immediate = e.literal(0);
    e.handle(wait<false>);
  } else {
    if (e.operands() != 3) e.refuse("a size of the source");
    e.set_address(0, e.operand(0));
    i.operands[1] = e.place({Operand::Kind::reg, false, e.operand(1).reg, "", 0, {}}, Type::b64);
    i.more.push_back(static_cast<uint32_t>(e.operand(1).offset));
    i.elements = static_cast<uint8_t>(e.literal(2));
    e.handle(copy);
  }
  return true;
}

}  // namespace ptx
