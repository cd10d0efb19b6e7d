// SPDX-License-Identifier: BSD-3-Clause
//
// What PTX makes of numbers where that is not what C++ on an x86 does.
#pragma once

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace ptx {

template <typename T>
using Unsigned = std::make_unsigned_t<T>;

// fp32 arithmetic that gives NaN gives this one, whatever payload came in; fp64 keeps payloads.
inline constexpr uint32_t kCanonicalNan = 0x7fffffff;

template <typename T>
T canonical(T value) {
  if constexpr (std::is_same_v<T, float>) {
    return value != value ? std::bit_cast<float>(kCanonicalNan) : value;
  } else {
    return value;
  }
}

// .ftz: subnormal numbers are zeros of their sign.
template <typename T>
T flushed(T value) {
  return std::fabs(value) < std::numeric_limits<T>::min() ? std::copysign(T(0), value) : value;
}

// Addends and products wrap.
struct Add {
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(static_cast<Unsigned<T>>(Unsigned<T>(a) + Unsigned<T>(b)));
    } else {
      return a + b;
    }
  }
};
struct Subtract {
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(static_cast<Unsigned<T>>(Unsigned<T>(a) - Unsigned<T>(b)));
    } else {
      return a - b;
    }
  }
};
struct Multiply {
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (!std::is_integral_v<T>) {
      return a * b;
    } else if constexpr (sizeof(T) < 4) {
      return static_cast<T>(uint32_t(a) * uint32_t(b));
    } else {
      return static_cast<T>(Unsigned<T>(a) * Unsigned<T>(b));
    }
  }
};
struct MultiplyHigh {
  template <typename T>
  static T apply(T a, T b) {
    using Wide =
        std::conditional_t<sizeof(T) == 8,
                           std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>,
                           std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;
    return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b) >> (8 * sizeof(T)));
  }
};

// The operand that is a number; -0 is below +0.
struct Minimum {
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return a < b ? a : b;
    } else {
      const T smaller = a < b || (a == b && std::signbit(a)) ? a : b;
      return b != b ? a : a != a ? b : smaller;
    }
  }
};
struct Maximum {
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return a > b ? a : b;
    } else {
      const T larger = a > b || (a == b && !std::signbit(a)) ? a : b;
      return b != b ? a : a != a ? b : larger;
    }
  }
};
struct And {
  template <typename T>
  static T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <typename T>
  static T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <typename T>
  static T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};

enum class Rounding : uint8_t { nearest, zero, down, up };

// A binary floating-point format of up to 32 bits.
struct Format {
  int exponent_bits, mantissa_bits;
};
inline constexpr Format kHalf{5, 10}, kBfloat{8, 7}, kFloat{8, 23};

// mantissa * 2^exponent, rounded once.
inline uint32_t encode_number(Format format, bool negative, uint64_t mantissa, int exponent,
                              Rounding rounding) {
  const uint32_t sign = uint32_t{negative} << (format.exponent_bits + format.mantissa_bits);
  if (mantissa == 0) return sign;
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  // The last place of the result: that of its leading bit, or of the smallest subnormal numbers.
  const int leading = exponent + 63 - std::countl_zero(mantissa);
  const int last = std::max(leading, 1 - bias) - format.mantissa_bits;
  const int shift = last - exponent;
  uint64_t kept = 0;
  bool up = false;
  if (shift <= 0) {
    kept = mantissa << -shift;
  } else {
    kept = shift > 63 ? 0 : mantissa >> shift;
    const bool half = shift <= 64 && (mantissa >> (shift - 1) & 1);
    const bool below = shift > 64 || (mantissa & ((uint64_t{1} << (shift - 1)) - 1)) != 0;
    const bool inexact = half || below;
    up = rounding == Rounding::nearest ? half && (below || (kept & 1))
         : rounding == Rounding::down  ? inexact && negative
         : rounding == Rounding::up    ? inexact && !negative
                                       : false;
  }
  kept += up;
  // A mantissa that overflows carries into the exponent, by the layout of the bits.
  const int biased = last + format.mantissa_bits + bias;
  uint64_t bits = kept;
  if (kept >> format.mantissa_bits)
    bits += static_cast<uint64_t>(biased - 1) << format.mantissa_bits;
  const uint64_t infinity = ((uint64_t{1} << format.exponent_bits) - 1) << format.mantissa_bits;
  if (bits >= infinity) {
    const bool stays = rounding == Rounding::zero || (rounding == Rounding::down && !negative) ||
                       (rounding == Rounding::up && negative);
    bits = stays ? infinity - 1 : infinity;
  }
  return sign | static_cast<uint32_t>(bits);
}

inline uint32_t encode_number(Format format, double value, Rounding rounding) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const bool negative = bits >> 63;
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff);
  const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
  const uint32_t sign = uint32_t{negative} << (format.exponent_bits + format.mantissa_bits);
  const uint32_t largest = (1u << (format.exponent_bits + format.mantissa_bits)) - 1;
  if (exponent == 0x7ff) {
    // The canonical NaN has no sign and all other bits.
    return fraction ? largest : sign | (largest >> format.mantissa_bits << format.mantissa_bits);
  }
  if (exponent == 0) return encode_number(format, negative, fraction, -1074, rounding);
  return encode_number(format, negative, fraction | uint64_t{1} << 52, exponent - 1075, rounding);
}

inline float half_value(uint16_t bits) {
  const uint32_t magnitude = bits & 0x7fff;
  // As a float the exponent is too small by 112, also that of subnormal numbers.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const uint32_t value = magnitude >= 0x7c00 ? 0x7f800000 | (magnitude & 0x3ff) << 13
                                             : std::bit_cast<uint32_t>(scaled);
  return std::bit_cast<float>(value | static_cast<uint32_t>(bits & 0x8000) << 16);
}
inline float bfloat_value(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// A value that the compiler can neither fold nor compute earlier.
template <typename T>
T opaque(T value) {
  volatile T copy = value;
  return copy;
}

// An operation with the FPU set to another direction.
template <typename Operation, int direction>
struct Rounded {
  template <typename T, typename... Ts>
  static __attribute__((noinline)) T apply(T a, Ts... others) {
    const int before = fegetround();
    fesetround(direction);
    const T result = opaque(Operation::apply(opaque(a), opaque(others)...));
    fesetround(before);
    return result;
  }
};

}  // namespace ptx
