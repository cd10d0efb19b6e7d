// SPDX-License-Identifier: BSD-3-Clause
//
// shfl, vote, match, redux, activemask, elect: what lanes of a warp tell each other. The scheduler
// brings the lanes of the membermask together first.
#include <cstring>

#include "apply.h"

namespace ptx {
namespace {

// What a lane gets of one that does not take part: nothing to rely on.
constexpr uint32_t kNothing = 0xdeadbeef;

enum Direction : uint8_t { kUp, kDown, kButterfly, kIndex };

void shuffle(Warp& warp, const Instruction& i, uint32_t lanes) {
  uint32_t values[kLanes], results[kLanes];
  memcpy(values, row<uint32_t>(warp, i.operands[2]), sizeof values);
  const In<uint32_t> b(warp, i.operands[3]), c(warp, i.operands[4]);
  uint32_t in_range = 0;
  for_each_lane(lanes, [&](int lane) {
    const int by = static_cast<int>(b[lane] & 31);
    const int clamp = static_cast<int>(c[lane] & 31), segment = static_cast<int>(c[lane] >> 8 & 31);
    const int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
    int source = i.mode == kUp          ? lane - by
                 : i.mode == kDown      ? lane + by
                 : i.mode == kButterfly ? lane ^ by
                                        : first | (by & ~segment);
    if (i.mode == kUp ? source >= last : source <= last) {
      in_range |= 1u << lane;
    } else {
      source = lane;
    }
    results[lane] = has_lane(lanes, source) ? values[source] : kNothing;
  });
  if (i.operands[0] != kNoOperand) {
    uint32_t* to = result_row<uint32_t>(warp, i.operands[0]);
    for_each_lane(lanes, [&](int lane) { to[lane] = results[lane]; });
  }
  write_predicate(warp, i.operands[1], lanes, in_range);
}

enum Vote : uint8_t { kBallot, kAny, kAll, kUniform };

void vote(Warp& warp, const Instruction& i, uint32_t lanes) {
  const uint32_t yes = predicate(warp, i, 1) & lanes;
  if (i.mode == kBallot) {
    write<uint32_t>(warp, i.operands[0], lanes, [&](int) { return yes; });
    return;
  }
  const bool result = i.mode == kAny   ? yes != 0
                      : i.mode == kAll ? yes == lanes
                                       : yes == 0 || yes == lanes;
  write_predicate(warp, i.operands[0], lanes, result ? kAllLanes : 0);
}

template <typename Bits, bool all>
void match(Warp& warp, const Instruction& i, uint32_t lanes) {
  Bits values[kLanes];
  memcpy(values, row<Bits>(warp, i.operands[2]), sizeof values);
  uint32_t peers[kLanes] = {};
  bool same = true;
  for_each_lane(lanes, [&](int lane) {
    for_each_lane(lanes, [&](int other) {
      if (values[lane] == values[other]) peers[lane] |= 1u << other;
    });
    same = same && peers[lane] == lanes;
  });
  if (all) {
    write<uint32_t>(warp, i.operands[0], lanes, [&](int) { return same ? lanes : 0; });
    write_predicate(warp, i.operands[1], lanes, same ? kAllLanes : 0);
  } else {
    write<uint32_t>(warp, i.operands[0], lanes, [&](int lane) { return peers[lane]; });
  }
}

template <typename T, typename Operation>
void reduce(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<T> a(warp, i.operands[1]);
  T total = a[std::countr_zero(lanes)];
  for_each_lane(lanes & (lanes - 1), [&](int lane) { total = Operation::apply(total, a[lane]); });
  write<T>(warp, i.operands[0], lanes, [&](int) { return total; });
}

void active_mask(Warp& warp, const Instruction& i, uint32_t lanes) {
  write<uint32_t>(warp, i.operands[0], lanes, [&](int) { return lanes; });
}

void elect(Warp& warp, const Instruction& i, uint32_t lanes) {
  const uint32_t leader = static_cast<uint32_t>(std::countr_zero(lanes));
  if (i.operands[0] != kNoOperand) {
    write<uint32_t>(warp, i.operands[0], lanes, [&](int) { return leader; });
  }
  write_predicate(warp, i.operands[1], lanes, 1u << leader);
}

Handler reduction(const Statement& s) {
  const bool is_signed = s.type() == Type::s32;
  if (s.has("add")) return reduce<uint32_t, Add>;
  if (s.has("and")) return reduce<uint32_t, And>;
  if (s.has("or")) return reduce<uint32_t, Or>;
  if (s.has("xor")) return reduce<uint32_t, Xor>;
  if (s.has("min")) return is_signed ? reduce<int32_t, Minimum> : reduce<uint32_t, Minimum>;
  if (s.has("max")) return is_signed ? reduce<int32_t, Maximum> : reduce<uint32_t, Maximum>;
  return nullptr;
}

void encode_shuffle(Encoder& e) {  // shfl.sync.mode.b32 d|p, a, b, c, members
  const Statement& s = e.statement();
  e.instruction().mode = s.has("up")     ? kUp
                         : s.has("down") ? kDown
                         : s.has("bfly") ? kButterfly
                                         : kIndex;
  for (int k = 0; k < 6; ++k) e.set(k, k, k == 1 ? Type::pred : Type::b32);
  e.instruction().members = 5;
  e.handle(shuffle);
}

void encode_match(Encoder& e) {  // match.sync.all d|p, a, members
  const Statement& s = e.statement();
  const bool all = s.has("all"), wide = size_of(s.type()) == 8;
  const size_t value = e.operands() - 2;
  e.set(0, 0, Type::b32);
  if (value == 2) e.set(1, 1, Type::pred);
  e.set(2, value, s.type());
  e.set(3, value + 1, Type::b32);
  e.instruction().members = 3;
  e.handle(all    ? (wide ? match<uint64_t, true> : match<uint32_t, true>)
           : wide ? match<uint64_t, false>
                  : match<uint32_t, false>);
}

}  // namespace

bool encode_warp(Encoder& e) {
  const Statement& s = e.statement();
  Instruction& i = e.instruction();
  if (s.is("activemask")) {
    e.set(0, 0, Type::b32);
    e.handle(active_mask);
    return true;
  }
  i.kind = Kind::warp_sync;
  if (s.is("shfl")) {
    encode_shuffle(e);
  } else if (s.is("match")) {
    encode_match(e);
  } else if (s.is("vote")) {
    i.mode = s.has("ballot") ? kBallot : s.has("any") ? kAny : s.has("all") ? kAll : kUniform;
    e.set(0, 0, i.mode == kBallot ? Type::b32 : Type::pred);
    e.set(1, 1, Type::pred);
    e.set(2, 2, Type::b32);
    i.members = 2;
    e.handle(vote);
  } else if (s.is("redux")) {
    for (int k = 0; k < 3; ++k) e.set(k, k, Type::b32);
    i.members = 2;
    e.handle(reduction(s));
  } else if (s.is("elect")) {
    e.set(0, 0, Type::b32);
    e.set(1, 1, Type::pred);
    e.set(2, 2, Type::b32);
    i.members = 2;
    e.handle(elect);
  } else {
    i.kind = Kind::plain;
    return false;
  }
  return true;
}

}  // namespace ptx
