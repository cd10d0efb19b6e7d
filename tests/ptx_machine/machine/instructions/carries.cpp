// SPDX-License-Identifier: BSD-3-Clause
//
// add.cc, addc, sub.cc, subc, mad.cc and madc: arithmetic through the carry flag.
#include "apply.h"

namespace ptx {
namespace {

enum Uses { kWritesCarry = 1, kReadsCarry = 2, kSubtracts = 4, kProducts = 8, kHigh = 16 };

template <typename T>
void with_carry(Warp& warp, const Instruction& i, uint32_t lanes) {
  const int uses = i.mode;
  const In<T> a(warp, i.operands[1]), b(warp, i.operands[2]);
  const In<T> c(warp, i.operands[uses & kProducts ? 3 : 1]);
  auto* to = result_row<typename Slot<T>::Bits>(warp, i.operands[0]);
  uint32_t next = warp.carry;
  for_each_lane(lanes, [&](int lane) {
    using Wide = unsigned __int128;
    const Wide carry = uses & kReadsCarry ? warp.carry >> lane & 1 : 0;
    Wide sum;
    if (uses & kProducts) {
      const T product =
          uses & kHigh ? MultiplyHigh::apply(a[lane], b[lane]) : Multiply::apply(a[lane], b[lane]);
      sum = Wide{Unsigned<T>(product)} + Unsigned<T>(c[lane]) + carry;
    } else if (uses & kSubtracts) {
      sum = Wide{Unsigned<T>(a[lane])} - Unsigned<T>(b[lane]) - carry;
    } else {
      sum = Wide{Unsigned<T>(a[lane])} + Unsigned<T>(b[lane]) + carry;
    }
    to[lane] = static_cast<Unsigned<T>>(sum);
    const uint32_t out = static_cast<uint32_t>(sum >> (8 * sizeof(T))) & 1;
    if (uses & kWritesCarry) next = (next & ~(1u << lane)) | out << lane;
  });
  warp.carry = next;
}

}  // namespace

bool encode_carries(Encoder& e) {
  const Statement& s = e.statement();
  const bool reads = s.is("addc") || s.is("subc") || s.is("madc");
  const bool writes = s.has("cc");
  if (!reads && !writes) return false;
  const bool subtracts = s.is("sub") || s.is("subc"), products = s.is("mad") || s.is("madc");
  e.instruction().mode = static_cast<uint8_t>(
      (writes ? kWritesCarry : 0) | (reads ? kReadsCarry : 0) | (subtracts ? kSubtracts : 0) |
      (products ? kProducts : 0) | (s.has("hi") ? kHigh : 0));
  for (size_t k = 0; k < e.operands(); ++k) e.set(static_cast<int>(k), k, s.type());
  e.handle(for_integer(s.type(), []<typename T>() -> Handler { return with_carry<T>; }));
  return true;
}

}  // namespace ptx
