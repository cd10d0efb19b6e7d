// SPDX-License-Identifier: BSD-3-Clause
//
// mov, also of vectors; cvta; selp; what predicates combine to.
#include <cstring>

#include "encoder.h"
#include "lanes.h"

namespace ptx {
namespace {

template <typename Bits>
void move(Warp& warp, const Instruction& i, uint32_t lanes) {
  const Bits* from = row<Bits>(warp, i.operands[1]);
  write<Bits>(warp, i.operands[0], lanes, [&](int lane) { return from[lane]; });
}

void move_predicate(Warp& warp, const Instruction& i, uint32_t lanes) {
  write_predicate(warp, i.operands[0], lanes, predicate(warp, i, 1));
}

// mov.b64 {low, high}, whole
template <typename Whole, typename Part>
void unpack(Warp& warp, const Instruction& i, uint32_t lanes) {
  using Bits = typename Slot<Whole>::Bits;
  Bits whole[kLanes];
  memcpy(whole, row<Bits>(warp, i.operands[1]), sizeof whole);
  for (int k = 0; k < i.elements; ++k) {
    if (i.more[k] == kNoOperand) continue;
    write<Part>(warp, i.more[k], lanes,
                [&](int lane) { return static_cast<Part>(whole[lane] >> (8 * sizeof(Part) * k)); });
  }
}

// mov.b64 whole, {low, high}
template <typename Whole, typename Part>
void pack(Warp& warp, const Instruction& i, uint32_t lanes) {
  Whole whole[kLanes] = {};
  for (int k = 0; k < i.elements; ++k) {
    const In<Part> part(warp, i.more[k]);
    for (int lane = 0; lane < kLanes; ++lane) {
      whole[lane] |= static_cast<Whole>(static_cast<Whole>(part[lane]) << (8 * sizeof(Part) * k));
    }
  }
  write<Whole>(warp, i.operands[0], lanes, [&](int lane) { return whole[lane]; });
}

// Of shared and local memory generic addresses are those of the host.
template <typename Bits>
void convert_address(Warp& warp, const Instruction& i, uint32_t lanes) {
  const Bits* from = row<Bits>(warp, i.operands[1]);
  Bits converted[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    uint64_t base = 0;
    if (i.space == Space::shared) base = reinterpret_cast<uint64_t>(warp.block->shared);
    if (i.space == Space::local) {
      base = reinterpret_cast<uint64_t>(warp.local) + uint64_t{warp.kernel->local_bytes} * lane;
    }
    converted[lane] = static_cast<Bits>(i.mode ? from[lane] - base : from[lane] + base);
  }
  write<Bits>(warp, i.operands[0], lanes, [&](int lane) { return converted[lane]; });
}

template <typename Bits>
void select(Warp& warp, const Instruction& i, uint32_t lanes) {
  const Bits* yes = row<Bits>(warp, i.operands[1]);
  const Bits* no = row<Bits>(warp, i.operands[2]);
  const uint32_t chosen = predicate(warp, i, 3);
  write<Bits>(warp, i.operands[0], lanes,
              [&](int lane) { return has_lane(chosen, lane) ? yes[lane] : no[lane]; });
}

template <char operation>
void combine(Warp& warp, const Instruction& i, uint32_t lanes) {
  const uint32_t a = predicate(warp, i, 1);
  uint32_t bits = ~a;
  if constexpr (operation != '!') {
    const uint32_t b = predicate(warp, i, 2);
    bits = operation == '&' ? a & b : operation == '|' ? a | b : a ^ b;
  }
  write_predicate(warp, i.operands[0], lanes, bits);
}

void encode_unpack(Encoder& e, Type whole) {
  const int parts = static_cast<int>(e.operand(0).elements.size());
  const int bytes = size_of(whole) / parts;
  e.set_elements(e.operand(0), bytes == 4 ? Type::b32 : bytes == 2 ? Type::b16 : Type::b8);
  e.set(1, 1, whole);
  if (size_of(whole) == 8) {
    e.handle(bytes == 4   ? unpack<uint64_t, uint32_t>
             : bytes == 2 ? unpack<uint64_t, uint16_t>
                          : unpack<uint64_t, uint8_t>);
  } else if (size_of(whole) == 4) {
    e.handle(bytes == 2 ? unpack<uint32_t, uint16_t> : unpack<uint32_t, uint8_t>);
  } else {
    e.handle(unpack<uint16_t, uint8_t>);
  }
}

void encode_pack(Encoder& e, Type whole) {
  const int parts = static_cast<int>(e.operand(1).elements.size());
  const int bytes = size_of(whole) / parts;
  e.set(0, 0, whole);
  e.set_elements(e.operand(1), bytes == 4 ? Type::b32 : bytes == 2 ? Type::b16 : Type::b8);
  if (size_of(whole) == 8) {
    e.handle(bytes == 4   ? pack<uint64_t, uint32_t>
             : bytes == 2 ? pack<uint64_t, uint16_t>
                          : pack<uint64_t, uint8_t>);
  } else if (size_of(whole) == 4) {
    e.handle(bytes == 2 ? pack<uint32_t, uint16_t> : pack<uint32_t, uint8_t>);
  } else {
    e.handle(pack<uint16_t, uint8_t>);
  }
}

void encode_move(Encoder& e, Type type) {
  if (e.operand(0).kind == Operand::Kind::vector) return encode_unpack(e, type);
  if (e.operand(1).kind == Operand::Kind::vector) return encode_pack(e, type);
  e.set(0, 0, type);
  e.set(1, 1, type);
  if (type == Type::pred) return e.handle(move_predicate);
  e.handle(size_of(type) == 8 ? move<uint64_t> : move<uint32_t>);
}

}  // namespace

bool encode_moves(Encoder& e) {
  const Statement& s = e.statement();
  const Type type = s.type();
  const bool wide = size_of(type) == 8;
  if (s.is("mov")) {
    encode_move(e, type);
  } else if (s.is("cvta")) {
    e.set(0, 0, type);
    e.set(1, 1, type);
    e.instruction().mode = s.has("to");
    e.handle(wide ? convert_address<uint64_t> : convert_address<uint32_t>);
  } else if (s.is("selp")) {
    for (int k = 0; k < 3; ++k) e.set(k, k, type);
    e.set(3, 3, Type::pred);
    e.handle(wide ? select<uint64_t> : select<uint32_t>);
  } else if (type == Type::pred && (s.is("and") || s.is("or") || s.is("xor") || s.is("not"))) {
    for (size_t k = 0; k < e.operands(); ++k) e.set(static_cast<int>(k), k, Type::pred);
    e.handle(s.is("and")   ? combine<'&'>
             : s.is("or")  ? combine<'|'>
             : s.is("xor") ? combine<'^'>
                           : combine<'!'>);
  } else {
    return false;
  }
  return true;
}

}  // namespace ptx
