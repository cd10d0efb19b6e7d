// SPDX-License-Identifier: BSD-3-Clause
//
// cvt. The frequent ones are loops that the compiler makes vectors of; one handler does all others.
#include <cmath>

#include "encoder.h"
#include "lanes.h"
#include "numbers.h"

namespace ptx {
namespace {

bool is_float(Type type) {
  return type == Type::f16 || type == Type::bf16 || type == Type::f32 || type == Type::f64;
}
bool is_signed(Type type) {
  return type == Type::s8 || type == Type::s16 || type == Type::s32 || type == Type::s64;
}

// What cvt needs to know, in an instruction's `more`.
enum Field { kTo, kFrom, kToBytes, kFromBytes, kSaturates, kFlushes, kToInteger };

double float_value(Type type, uint64_t bits) {
  switch (type) {
    case Type::f16:
      return half_value(static_cast<uint16_t>(bits));
    case Type::bf16:
      return bfloat_value(static_cast<uint16_t>(bits));
    case Type::f32:
      return std::bit_cast<float>(static_cast<uint32_t>(bits));
    default:
      return std::bit_cast<double>(bits);
  }
}

int64_t integer_value(Type type, uint64_t bits) {
  switch (size_of(type)) {
    case 1:
      return is_signed(type) ? static_cast<int8_t>(bits) : static_cast<uint8_t>(bits);
    case 2:
      return is_signed(type) ? static_cast<int16_t>(bits) : static_cast<uint16_t>(bits);
    case 4:
      return is_signed(type) ? static_cast<int32_t>(bits) : int64_t{static_cast<uint32_t>(bits)};
    default:
      return static_cast<int64_t>(bits);
  }
}

double integral(double value, Rounding rounding) {
  switch (rounding) {
    case Rounding::nearest:
      return std::nearbyint(value);
    case Rounding::zero:
      return std::trunc(value);
    case Rounding::down:
      return std::floor(value);
    default:
      return std::ceil(value);
  }
}

// To the nearest integer of the type. NaN is 0, or with 64 bits on either side the highest bit.
uint64_t float_to_integer(double value, Type to, Type from, Rounding rounding) {
  const int bits = 8 * size_of(to);
  const uint64_t all = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  const uint64_t top = uint64_t{1} << (bits - 1);
  if (value != value) return size_of(to) == 8 || size_of(from) == 8 ? top : 0;
  const double rounded = integral(value, rounding);
  if (is_signed(to)) {
    if (rounded >= std::ldexp(1.0, bits - 1)) return top - 1;
    if (rounded < -std::ldexp(1.0, bits - 1)) return top;
    return static_cast<uint64_t>(static_cast<int64_t>(rounded)) & all;
  }
  if (rounded >= std::ldexp(1.0, bits)) return all;
  return rounded <= 0 ? 0 : static_cast<uint64_t>(rounded);
}

uint64_t to_float(double value, Type to, Rounding rounding) {
  switch (to) {
    case Type::f16:
      return encode_number(kHalf, value, rounding);
    case Type::bf16:
      return encode_number(kBfloat, value, rounding);
    case Type::f32:
      return encode_number(kFloat, value, rounding);
    default:
      return std::bit_cast<uint64_t>(value);
  }
}

uint64_t integer_to_float(int64_t value, bool is_unsigned, Type to, Rounding rounding) {
  const bool negative = value < 0 && !is_unsigned;
  const uint64_t magnitude =
      negative ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  if (to != Type::f64) {
    const Format format = to == Type::f16 ? kHalf : to == Type::bf16 ? kBfloat : kFloat;
    return encode_number(format, negative, magnitude, 0, rounding);
  }
  static constexpr int kDirections[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  const int before = fegetround();
  fesetround(kDirections[static_cast<int>(rounding)]);
  const double exact = is_unsigned ? opaque(static_cast<double>(opaque(magnitude)))
                                   : opaque(static_cast<double>(opaque(value)));
  fesetround(before);
  return std::bit_cast<uint64_t>(exact);
}

// The bits of a signed result fill its register.
uint64_t integer_to_integer(int64_t value, Type to, int register_bytes) {
  const int64_t converted = integer_value(to, static_cast<uint64_t>(value));
  const bool narrow = size_of(to) == 2 && register_bytes == 4;
  return static_cast<uint64_t>(converted) & (narrow ? 0xffff : ~uint64_t{0});
}

uint64_t convert(const Instruction& i, uint64_t bits) {
  const Type to = static_cast<Type>(i.more[kTo]), from = static_cast<Type>(i.more[kFrom]);
  const Rounding rounding = static_cast<Rounding>(i.mode);
  if (!is_float(from)) {
    const int64_t value = integer_value(from, bits);
    if (is_float(to)) return integer_to_float(value, !is_signed(from), to, rounding);
    return integer_to_integer(value, to, static_cast<int>(i.more[kToBytes]));
  }
  double value = float_value(from, bits);
  if (i.more[kFlushes] && from == Type::f32) value = flushed(static_cast<float>(value));
  if (!is_float(to)) return float_to_integer(value, to, from, rounding);
  if (i.more[kToInteger]) value = integral(value, rounding);
  if (i.more[kSaturates]) value = value > 0 ? std::min(value, 1.0) : 0.0;
  const uint64_t converted = to_float(value, to, i.more[kToInteger] ? Rounding::nearest : rounding);
  if (!i.more[kFlushes] || to != Type::f32) return converted;
  const float flat = flushed(std::bit_cast<float>(static_cast<uint32_t>(converted)));
  return std::bit_cast<uint32_t>(flat);
}

void convert_any(Warp& warp, const Instruction& i, uint32_t lanes) {
  for_each_lane(lanes, [&](int lane) {
    const uint64_t bits = i.more[kFromBytes] == 8 ? row<uint64_t>(warp, i.operands[1])[lane]
                                                  : row<uint32_t>(warp, i.operands[1])[lane];
    const uint64_t converted = convert(i, bits);
    if (i.more[kToBytes] == 8) {
      result_row<uint64_t>(warp, i.operands[0])[lane] = converted;
    } else {
      result_row<uint32_t>(warp, i.operands[0])[lane] = static_cast<uint32_t>(converted);
    }
  });
}

template <typename To, typename From>
void convert_plain(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<From> a(warp, i.operands[1]);
  write<To>(warp, i.operands[0], lanes,
            [&](int lane) { return canonical(static_cast<To>(a[lane])); });
}

// Two fp32 to two halves of a register, the first one above.
void convert_pair(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<float> high(warp, i.operands[1]), low(warp, i.operands[2]);
  const Format format = static_cast<Type>(i.more[kTo]) == Type::f16x2 ? kHalf : kBfloat;
  write<uint32_t>(warp, i.operands[0], lanes, [&](int lane) {
    return encode_number(format, high[lane], Rounding::nearest) << 16 |
           encode_number(format, low[lane], Rounding::nearest);
  });
}

// Where C++ converts as PTX does: rounding to nearest, and registers as wide as what they hold.
Handler plain_conversion(Type to, Type from, bool nearest) {
  const bool integer32 = from == Type::u32 || from == Type::s32;
  const bool integer64 = from == Type::u64 || from == Type::s64;
  if (size_of(to) == 4 && !is_float(to) && integer64) return convert_plain<uint32_t, uint64_t>;
  if (size_of(to) == 8 && !is_float(to) && integer32) {
    return from == Type::s32 ? convert_plain<int64_t, int32_t> : convert_plain<uint64_t, uint32_t>;
  }
  if (to == Type::f64 && from == Type::f32) return convert_plain<double, float>;
  if (to == Type::f64 && integer32) {
    return from == Type::s32 ? convert_plain<double, int32_t> : convert_plain<double, uint32_t>;
  }
  if (!nearest) return nullptr;
  if (to == Type::f32 && from == Type::f64) return convert_plain<float, double>;
  if (to == Type::f32 && integer32) {
    return from == Type::s32 ? convert_plain<float, int32_t> : convert_plain<float, uint32_t>;
  }
  return to == Type::f64 && from == Type::s64 ? convert_plain<double, int64_t> : nullptr;
}

Rounding rounding_of(const Statement& s) {
  if (s.has("rz") || s.has("rzi")) return Rounding::zero;
  if (s.has("rm") || s.has("rmi")) return Rounding::down;
  return s.has("rp") || s.has("rpi") ? Rounding::up : Rounding::nearest;
}

}  // namespace

bool encode_conversions(Encoder& e) {
  const Statement& s = e.statement();
  if (!s.is("cvt")) return false;
  const Type to = s.types().at(0), from = s.types().at(1);
  const int to_bytes = e.width(e.operand(0), to), from_bytes = e.width(e.operand(1), from);
  const bool to_integer = s.has("rni") || s.has("rzi") || s.has("rmi") || s.has("rpi");
  if (s.has("sat") && !(is_float(from) && is_float(to))) e.refuse(".sat of integers");
  if (s.has("relu") || s.has("satfinite")) e.refuse();
  Instruction& i = e.instruction();
  i.more = {static_cast<uint32_t>(to),           static_cast<uint32_t>(from),
            static_cast<uint32_t>(to_bytes),     static_cast<uint32_t>(from_bytes),
            static_cast<uint32_t>(s.has("sat")), static_cast<uint32_t>(s.has("ftz")),
            static_cast<uint32_t>(to_integer)};
  i.mode = static_cast<uint8_t>(rounding_of(s));
  e.set(0, 0, to_bytes == 8 ? Type::b64 : Type::b32);
  if (e.operands() == 3) {
    if (rounding_of(s) != Rounding::nearest) e.refuse("a rounding");
    e.set(1, 1, from);
    e.set(2, 2, from);
    e.handle(convert_pair);
    return true;
  }
  e.set(1, 1, from_bytes == 8 && size_of(from) < 8 ? Type::b64 : from);
  const bool same_widths =
      (size_of(to) == 8) == (to_bytes == 8) && (size_of(from) == 8) == (from_bytes == 8);
  const bool nearest = rounding_of(s) == Rounding::nearest;
  const bool modified = s.has("sat") || s.has("ftz") || to_integer;
  const Handler plain = same_widths && !modified ? plain_conversion(to, from, nearest) : nullptr;
  e.handle(plain ? plain : convert_any);
  return true;
}

}  // namespace ptx
