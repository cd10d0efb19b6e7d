// SPDX-License-Identifier: BSD-3-Clause
//
// setp.
#include <iterator>
#include <string_view>

#include "apply.h"

namespace ptx {
namespace {

enum class Compare { eq, ne, lt, le, gt, ge, equ, neu, ltu, leu, gtu, geu, num, nan };

// Ordered comparisons are false of NaN, unordered ones (u) true.
template <Compare compare, typename T>
bool holds(T a, T b) {
  switch (compare) {
    case Compare::eq:
      return a == b;
    case Compare::ne:
      return a < b || a > b;
    case Compare::lt:
      return a < b;
    case Compare::le:
      return a <= b;
    case Compare::gt:
      return a > b;
    case Compare::ge:
      return a >= b;
    case Compare::equ:
      return !(a < b || a > b);
    case Compare::neu:
      return a != b;
    case Compare::ltu:
      return !(a >= b);
    case Compare::leu:
      return !(a > b);
    case Compare::gtu:
      return !(a <= b);
    case Compare::geu:
      return !(a < b);
    case Compare::num:
      return a == a && b == b;
    case Compare::nan:
      return a != a || b != b;
  }
}

enum Combine : uint8_t { kAlone, kAnd, kOr, kXor };

template <Compare compare, typename T>
void set_predicate(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<T> a(warp, i.operands[2]), b(warp, i.operands[3]);
  uint32_t bits = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    bits |= static_cast<uint32_t>(holds<compare>(a[lane], b[lane])) << lane;
  }
  uint32_t inverse = ~bits;
  if (i.mode != kAlone) {
    const uint32_t other = predicate(warp, i, 4);
    const auto combine = [&](uint32_t x) {
      return i.mode == kAnd ? x & other : i.mode == kOr ? x | other : x ^ other;
    };
    bits = combine(bits);
    inverse = combine(inverse);
  }
  write_predicate(warp, i.operands[0], lanes, bits);
  write_predicate(warp, i.operands[1], lanes, inverse);
}

template <Compare compare>
Handler comparison(Type type) {
  return for_number(type, []<typename T>() -> Handler { return set_predicate<compare, T>; });
}

struct Named {
  std::string_view name;
  Handler (*handler)(Type);
};
constexpr Named kComparisons[] = {
    {"eq", comparison<Compare::eq>},   {"ne", comparison<Compare::ne>},
    {"lt", comparison<Compare::lt>},   {"le", comparison<Compare::le>},
    {"gt", comparison<Compare::gt>},   {"ge", comparison<Compare::ge>},
    {"lo", comparison<Compare::lt>},   {"ls", comparison<Compare::le>},
    {"hi", comparison<Compare::gt>},   {"hs", comparison<Compare::ge>},
    {"equ", comparison<Compare::equ>}, {"neu", comparison<Compare::neu>},
    {"ltu", comparison<Compare::ltu>}, {"leu", comparison<Compare::leu>},
    {"gtu", comparison<Compare::gtu>}, {"geu", comparison<Compare::geu>},
    {"num", comparison<Compare::num>}, {"nan", comparison<Compare::nan>}};

}  // namespace

bool encode_comparisons(Encoder& e) {
  const Statement& s = e.statement();
  if (!s.is("setp")) return false;
  e.set(0, 0, Type::pred);
  e.set(1, 1, Type::pred);
  e.set(2, 2, s.type());
  e.set(3, 3, s.type());
  if (e.operands() > 4) {
    e.set(4, 4, Type::pred);
    e.instruction().mode = s.has("and") ? kAnd : s.has("or") ? kOr : kXor;
  }
  if (s.has("ftz")) e.refuse(".ftz");
  for (const Named& named : kComparisons) {
    if (named.name == s.parts[1]) {
      e.handle(named.handler(s.type()));
      return true;
    }
  }
  return false;
}

}  // namespace ptx
