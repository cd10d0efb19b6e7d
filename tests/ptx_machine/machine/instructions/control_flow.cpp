// SPDX-License-Identifier: BSD-3-Clause
//
// Branches and barriers, which the scheduler handles, and what changes nothing here: fences (memory
// is sequentially consistent) and hints.
#include "encoder.h"

namespace ptx {
namespace {

void nothing(Warp&, const Instruction&, uint32_t) {}

void encode_barrier(Encoder& e) {
  const Statement& s = e.statement();
  Instruction& i = e.instruction();
  if (s.has("warp")) {
    i.kind = Kind::warp_barrier;
    i.members = 0;
    e.set(0, 0, Type::b32);
    return;
  }
  if (s.has("cluster")) e.refuse("a barrier of a cluster");
  i.kind = Kind::block_barrier;
  i.aligned = s.is("bar") || s.has("aligned");
  BarrierMode mode = BarrierMode::wait;
  if (s.has("red")) {
    mode = s.has("popc") ? BarrierMode::count : s.has("and") ? BarrierMode::all : BarrierMode::any;
    e.set(0, 0, s.has("popc") ? Type::u32 : Type::pred);
    e.set(1, 1, Type::u32);
    if (e.operands() == 4) e.set(2, 2, Type::u32);
    e.set(3, e.operands() - 1, Type::pred);
  } else {
    if (s.has("arrive")) mode = BarrierMode::arrive;
    e.set(1, 0, Type::u32);
    if (e.operands() > 1) e.set(2, 1, Type::u32);
  }
  i.mode = static_cast<uint8_t>(mode);
}

}  // namespace

bool encode_control_flow(Encoder& e) {
  const Statement& s = e.statement();
  Instruction& i = e.instruction();
  if (s.is("bra")) {
    i.kind = Kind::branch;
    i.target = e.listing().label(s.target);
  } else if (s.is("brx")) {
    i.kind = Kind::branch_table;
    e.set(0, 0, Type::u32);
    for (const std::string& target : e.listing().branch_tables.at(e.operand(1).name)) {
      i.more.push_back(e.listing().label(target));
    }
  } else if (s.is("ret") || s.is("exit")) {
    i.kind = Kind::exit;
  } else if (s.is("trap")) {
    i.kind = Kind::trap;
  } else if (s.is("bar") || s.is("barrier")) {
    encode_barrier(e);
  } else if (s.is("membar") || s.is("fence") || s.is("nanosleep") || s.is("prefetch") ||
             s.is("setmaxnreg")) {
    e.handle(nothing);
  } else {
    return false;
  }
  return true;
}

}  // namespace ptx
