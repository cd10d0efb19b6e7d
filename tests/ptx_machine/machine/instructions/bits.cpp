// SPDX-License-Identifier: BSD-3-Clause
//
// Logic, shifts, counts of bits, bit fields, permutations of bytes.
#include "apply.h"

namespace ptx {
namespace {

struct Not {
  template <typename T>
  static T apply(T a) {
    return static_cast<T>(~a);
  }
};
struct IsZero {
  template <typename T>
  static T apply(T a) {
    return a == 0;
  }
};
// Shifts by more than the width are shifts by the width.
struct ShiftLeft {
  template <typename T>
  static T apply(T a, uint32_t by) {
    return by >= 8 * sizeof(T) ? T(0) : static_cast<T>(Unsigned<T>(a) << by);
  }
};
struct ShiftRight {
  template <typename T>
  static T apply(T a, uint32_t by) {
    constexpr uint32_t kBits = 8 * sizeof(T);
    if (by < kBits) return static_cast<T>(a >> by);
    return std::is_signed_v<T> ? static_cast<T>(a >> (kBits - 1)) : T(0);
  }
};
struct CountOnes {
  template <typename T>
  static uint32_t apply(T a) {
    return static_cast<uint32_t>(std::popcount(a));
  }
};
struct CountLeadingZeros {
  template <typename T>
  static uint32_t apply(T a) {
    return static_cast<uint32_t>(std::countl_zero(a));
  }
};
struct Reverse {
  template <typename T>
  static T apply(T a) {
    constexpr unsigned kBits = 8 * sizeof(T);
    T reversed = 0;
    for (unsigned k = 0; k < kBits; ++k) reversed |= (a >> k & 1) << (kBits - 1 - k);
    return reversed;
  }
};
// The place of the highest bit that is no copy of the sign; or how far it must be shifted.
template <bool shift_amount>
struct FindLeading {
  template <typename T>
  static uint32_t apply(T a) {
    Unsigned<T> bits = static_cast<Unsigned<T>>(a);
    if (std::is_signed_v<T> && a < 0) bits = ~bits;
    if (bits == 0) return ~0u;
    const uint32_t zeros = static_cast<uint32_t>(std::countl_zero(bits));
    return shift_amount ? zeros : static_cast<uint32_t>(8 * sizeof(T)) - 1 - zeros;
  }
};

// bfe d, a, position, length
template <typename T>
void extract_field(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<T> a(warp, i.operands[1]);
  const In<uint32_t> b(warp, i.operands[2]), c(warp, i.operands[3]);
  constexpr uint32_t kTop = 8 * sizeof(T) - 1;
  write<T>(warp, i.operands[0], lanes, [&](int lane) -> T {
    const uint32_t position = b[lane] & 0xff, length = c[lane] & 0xff;
    const Unsigned<T> bits = static_cast<Unsigned<T>>(a[lane]);
    const bool negative =
        std::is_signed_v<T> && length > 0 && (bits >> std::min(position + length - 1, kTop) & 1);
    const uint32_t taken = position > kTop ? 0 : std::min(length, kTop + 1 - position);
    Unsigned<T> field = position > kTop ? 0 : bits >> position;
    if (taken <= kTop) {
      const Unsigned<T> mask = (Unsigned<T>{1} << taken) - 1;
      field = negative ? field | ~mask : field & mask;
    }
    return static_cast<T>(field);
  });
}

// bfi d, a, b, position, length: a's low bits into b
template <typename T>
void insert_field(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<T> a(warp, i.operands[1]), b(warp, i.operands[2]);
  const In<uint32_t> c(warp, i.operands[3]), d(warp, i.operands[4]);
  constexpr uint32_t kBits = 8 * sizeof(T);
  write<T>(warp, i.operands[0], lanes, [&](int lane) -> T {
    const uint32_t position = c[lane] & 0xff, length = d[lane] & 0xff;
    if (position >= kBits || length == 0) return b[lane];
    const T mask = (length >= kBits ? ~T(0) : (T(1) << length) - 1) << position;
    return (b[lane] & ~mask) | (T(a[lane] << position) & mask);
  });
}

template <bool left, bool clamp>
void funnel_shift(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<uint32_t> a(warp, i.operands[1]), b(warp, i.operands[2]), c(warp, i.operands[3]);
  write<uint32_t>(warp, i.operands[0], lanes, [&](int lane) {
    const uint32_t by = clamp ? std::min(c[lane], 32u) : c[lane] & 31;
    const uint64_t both = uint64_t{b[lane]} << 32 | a[lane];
    return static_cast<uint32_t>(left ? both << by >> 32 : both >> by);
  });
}

void permute_bytes(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<uint32_t> a(warp, i.operands[1]), b(warp, i.operands[2]), c(warp, i.operands[3]);
  write<uint32_t>(warp, i.operands[0], lanes, [&](int lane) {
    const uint64_t both = uint64_t{b[lane]} << 32 | a[lane];
    uint32_t permuted = 0;
    for (int k = 0; k < 4; ++k) {
      const uint32_t selector = c[lane] >> (4 * k) & 15;
      uint32_t byte = static_cast<uint32_t>(both >> (8 * (selector & 7))) & 0xff;
      if (selector & 8) byte = byte & 0x80 ? 0xff : 0;  // its sign alone
      permuted |= byte << (8 * k);
    }
    return permuted;
  });
}

// lop3 d, a, b, c, table: any function of three bits
void look_up(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<uint32_t> a(warp, i.operands[1]), b(warp, i.operands[2]), c(warp, i.operands[3]);
  const uint32_t table = static_cast<uint32_t>(i.immediate);
  write<uint32_t>(warp, i.operands[0], lanes, [&](int lane) {
    uint32_t bits = 0;
    for (uint32_t k = 0; k < 8; ++k) {
      const uint32_t wanted = table >> k & 1 ? ~0u : 0u;
      bits |= wanted & (k & 4 ? a[lane] : ~a[lane]) & (k & 2 ? b[lane] : ~b[lane]) &
              (k & 1 ? c[lane] : ~c[lane]);
    }
    return bits;
  });
}

template <bool clamp>
void bit_mask(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<uint32_t> a(warp, i.operands[1]), b(warp, i.operands[2]);
  write<uint32_t>(warp, i.operands[0], lanes, [&](int lane) -> uint32_t {
    const uint32_t position = clamp ? a[lane] : a[lane] & 31;
    const uint32_t length = clamp ? b[lane] : b[lane] & 31;
    if (position >= 32 || length == 0) return 0;
    const uint64_t ones = length >= 32 ? 0xffffffff : (1ull << length) - 1;
    return static_cast<uint32_t>(ones << position);
  });
}

template <typename Operation>
Handler shift(Type type) {
  return for_integer(type,
                     []<typename T>() -> Handler { return binary<T, T, uint32_t, Operation>; });
}

template <typename Operation>
Handler count(Type type) {
  return size_of(type) == 8 ? unary<uint32_t, uint64_t, Operation>
                            : unary<uint32_t, uint32_t, Operation>;
}

template <bool shift_amount>
Handler find_leading(Type type) {
  return for_integer(
      type, []<typename T>() -> Handler { return unary<uint32_t, T, FindLeading<shift_amount>>; });
}

Handler bit_operation(const Statement& s) {
  const Type type = s.type();
  const bool wide = size_of(type) == 8;
  if (s.is("and")) return binary_integer<And>(type);
  if (s.is("or")) return binary_integer<Or>(type);
  if (s.is("xor")) return binary_integer<Xor>(type);
  if (s.is("not")) return unary_integer<Not>(type);
  if (s.is("cnot")) return unary_integer<IsZero>(type);
  if (s.is("shl")) return shift<ShiftLeft>(type);
  if (s.is("shr")) return shift<ShiftRight>(type);
  if (s.is("popc")) return count<CountOnes>(type);
  if (s.is("clz")) return count<CountLeadingZeros>(type);
  if (s.is("brev")) {
    return wide ? unary<uint64_t, uint64_t, Reverse> : unary<uint32_t, uint32_t, Reverse>;
  }
  if (s.is("bfind"))
    return s.has("shiftamt") ? find_leading<true>(type) : find_leading<false>(type);
  if (s.is("bfe")) {
    return for_integer(type, []<typename T>() -> Handler { return extract_field<T>; });
  }
  if (s.is("bfi")) return wide ? insert_field<uint64_t> : insert_field<uint32_t>;
  if (s.is("shf")) {
    const bool left = s.has("l"), clamp = s.has("clamp");
    return left ? (clamp ? funnel_shift<true, true> : funnel_shift<true, false>)
                : (clamp ? funnel_shift<false, true> : funnel_shift<false, false>);
  }
  if (s.is("prmt")) return s.parts.size() > 2 ? nullptr : permute_bytes;
  if (s.is("lop3")) return look_up;
  if (s.is("bmsk")) return s.has("clamp") ? bit_mask<true> : bit_mask<false>;
  return nullptr;
}

// Positions, lengths and counts are 32 bits, whatever is worked on.
Type operand_type(const Statement& s, size_t k) {
  const bool is_count = s.is("popc") || s.is("clz") || s.is("bfind");
  const bool is_position = ((s.is("shl") || s.is("shr")) && k == 2) || (s.is("bfe") && k >= 2) ||
                           (s.is("bfi") && k >= 3);
  return is_position || (is_count && k == 0) ? Type::u32 : s.type();
}

}  // namespace

bool encode_bits(Encoder& e) {
  const Statement& s = e.statement();
  const Handler handler = bit_operation(s);
  if (handler == nullptr) return false;
  for (size_t k = 0; k < e.operands(); ++k) {
    if (s.is("lop3") && k == 4) {
      e.instruction().immediate = e.literal(4);
    } else {
      e.set(static_cast<int>(k), k, operand_type(s, k));
    }
  }
  e.handle(handler);
  return true;
}

}  // namespace ptx
