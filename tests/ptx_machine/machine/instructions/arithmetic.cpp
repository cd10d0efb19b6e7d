// SPDX-License-Identifier: BSD-3-Clause
//
// add, sub, mul, mad, fma, div, rem, min, max, neg, abs, rcp, sqrt, with their roundings.
#include <cstring>

#include "apply.h"

namespace ptx {
namespace {

struct Divide {
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (!std::is_integral_v<T>) {
      return a / b;
    } else {
      if (b == 0) return static_cast<T>(-1);
      if constexpr (std::is_signed_v<T>) {
        if (b == T(-1)) return Subtract::apply(T(0), a);
      }
      return static_cast<T>(a / b);
    }
  }
};
struct Remainder {
  template <typename T>
  static T apply(T a, T b) {
    if (b == 0) return static_cast<T>(-1);
    if constexpr (std::is_signed_v<T>) {
      if (b == T(-1)) return 0;
    }
    return static_cast<T>(a % b);
  }
};
struct Negate {
  template <typename T>
  static T apply(T a) {
    if constexpr (std::is_integral_v<T>) {
      return Subtract::apply(T(0), a);
    } else {
      return -a;
    }
  }
};
struct Absolute {
  template <typename T>
  static T apply(T a) {
    if constexpr (std::is_integral_v<T>) {
      return a < 0 ? Subtract::apply(T(0), a) : a;
    } else {
      return std::fabs(a);
    }
  }
};
struct Fma {
  template <typename T>
  static T apply(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};
// What a contracted difference becomes.
struct FmaMinusC {
  template <typename T>
  static T apply(T a, T b, T c) {
    return std::fma(a, b, -c);
  }
};
struct FmaMinusAB {
  template <typename T>
  static T apply(T a, T b, T c) {
    return std::fma(-a, b, c);
  }
};
struct MultiplyAdd {
  template <typename T>
  static T apply(T a, T b, T c) {
    return Add::apply(Multiply::apply(a, b), c);
  }
};
struct MultiplyHighAdd {
  template <typename T>
  static T apply(T a, T b, T c) {
    return Add::apply(MultiplyHigh::apply(a, b), c);
  }
};
template <typename Wide>
struct WideProduct {
  template <typename T>
  static Wide apply(T a, T b) {
    return Multiply::apply(static_cast<Wide>(a), static_cast<Wide>(b));
  }
  template <typename T>
  static Wide apply(T a, T b, Wide c) {
    return Add::apply(apply(a, b), c);
  }
};
struct SumOfDifferences {
  template <typename T>
  static T apply(T a, T b, T c) {
    return Add::apply(c, a < b ? Subtract::apply(b, a) : Subtract::apply(a, b));
  }
};
struct SquareRoot {
  template <typename T>
  static T apply(T a) {
    return canonical(std::sqrt(a));
  }
};
struct Reciprocal {
  template <typename T>
  static T apply(T a) {
    return canonical(T(1) / a);
  }
};
struct CopySign {  // the sign of a
  template <typename T>
  static T apply(T a, T b) {
    return std::copysign(b, a);
  }
};

template <typename Operation>
struct Flushing {
  template <typename... Ts>
  static float apply(Ts... operands) {
    return flushed(Operation::apply(flushed(operands)...));
  }
};
template <typename Operation>
struct Saturating {
  template <typename T, typename... Ts>
  static T apply(T a, Ts... others) {
    const T value = Operation::apply(a, others...);
    return value > 0 ? std::min(value, T(1)) : T(0);  // NaN is 0
  }
};
struct SaturatingAdd {
  static int32_t apply(int32_t a, int32_t b) {
    const int64_t sum = int64_t{a} + b;
    return static_cast<int32_t>(std::clamp<int64_t>(sum, INT32_MIN, INT32_MAX));
  }
};

template <typename Operation>
Handler unary_float(Type type) {
  return for_float(type, []<typename T>() -> Handler { return unary<T, T, Operation>; });
}
template <typename Operation>
Handler binary_float(Type type) {
  return for_float(type, []<typename T>() -> Handler { return binary<T, T, T, Operation>; });
}
template <typename Operation>
Handler ternary_float(Type type) {
  return for_float(type, []<typename T>() -> Handler { return ternary<T, T, T, T, Operation>; });
}

// The operation as its opcode wants it: a direction of rounding, .ftz, .sat.
template <typename Operation>
Handler with_modifiers(const Statement& s, auto for_operation) {
  if (s.has("rz")) return for_operation.template operator()<Rounded<Operation, FE_TOWARDZERO>>();
  if (s.has("rm")) return for_operation.template operator()<Rounded<Operation, FE_DOWNWARD>>();
  if (s.has("rp")) return for_operation.template operator()<Rounded<Operation, FE_UPWARD>>();
  if (s.has("ftz")) return nullptr;
  return for_operation.template operator()<Operation>();
}

template <typename Operation>
Handler unary_rounded(const Statement& s) {
  if (s.has("ftz")) return unary<float, float, Flushing<Operation>>;
  return with_modifiers<Operation>(
      s, [&]<typename Modified>() { return unary_float<Modified>(s.type()); });
}
template <typename Operation>
Handler binary_rounded(const Statement& s) {
  if (s.has("ftz")) return binary<float, float, float, Flushing<Operation>>;
  if (s.has("sat")) return binary_float<Saturating<Operation>>(s.type());
  return with_modifiers<Operation>(
      s, [&]<typename Modified>() { return binary_float<Modified>(s.type()); });
}
template <typename Operation>
Handler ternary_rounded(const Statement& s) {
  if (s.has("ftz")) return ternary<float, float, float, float, Flushing<Operation>>;
  if (s.has("sat")) return ternary_float<Saturating<Operation>>(s.type());
  return with_modifiers<Operation>(
      s, [&]<typename Modified>() { return ternary_float<Modified>(s.type()); });
}

bool is_float(Type type) { return type == Type::f32 || type == Type::f64; }

template <typename Operation>
Handler binary_any(const Statement& s) {
  if (is_float(s.type())) return binary_rounded<Operation>(s);
  if (s.has("sat")) {
    const bool known = s.type() == Type::s32 && s.is("add");
    return known ? binary<int32_t, int32_t, int32_t, SaturatingAdd> : nullptr;
  }
  return binary_integer<Operation>(s.type());
}

Handler wide_product(const Statement& s) {
  const bool adds = s.is("mad");
  switch (s.type()) {
    case Type::u16:
      return adds ? ternary<uint32_t, uint16_t, uint16_t, uint32_t, WideProduct<uint32_t>>
                  : binary<uint32_t, uint16_t, uint16_t, WideProduct<uint32_t>>;
    case Type::s16:
      return adds ? ternary<int32_t, int16_t, int16_t, int32_t, WideProduct<int32_t>>
                  : binary<int32_t, int16_t, int16_t, WideProduct<int32_t>>;
    case Type::u32:
      return adds ? ternary<uint64_t, uint32_t, uint32_t, uint64_t, WideProduct<uint64_t>>
                  : binary<uint64_t, uint32_t, uint32_t, WideProduct<uint64_t>>;
    case Type::s32:
      return adds ? ternary<int64_t, int32_t, int32_t, int64_t, WideProduct<int64_t>>
                  : binary<int64_t, int32_t, int32_t, WideProduct<int64_t>>;
    default:
      return nullptr;
  }
}

Handler arithmetic(const Statement& s) {
  const Type type = s.type();
  if (s.is("add")) return binary_any<Add>(s);
  if (s.is("sub")) return binary_any<Subtract>(s);
  if (s.is("mul")) {
    if (s.has("wide")) return wide_product(s);
    return s.has("hi") ? binary_integer<MultiplyHigh>(type) : binary_any<Multiply>(s);
  }
  if (s.is("mad")) {
    if (s.has("wide")) return wide_product(s);
    return s.has("hi") ? ternary_integer<MultiplyHighAdd>(type)
                       : ternary_integer<MultiplyAdd>(type);
  }
  if (s.is("fma")) {
    if (s.has("negc")) return ternary_float<FmaMinusC>(type);
    if (s.has("negab")) return ternary_float<FmaMinusAB>(type);
    return ternary_rounded<Fma>(s);
  }
  if (s.is("div")) return is_float(type) ? binary_rounded<Divide>(s) : binary_integer<Divide>(type);
  if (s.is("rem")) return binary_integer<Remainder>(type);
  if (s.is("min") || s.is("max")) {
    if (s.has("NaN") || s.has("xorsign") || s.has("relu")) return nullptr;
    if (is_float(type)) {
      return s.is("min") ? binary_rounded<Minimum>(s) : binary_rounded<Maximum>(s);
    }
    return s.is("min") ? binary_integer<Minimum>(type) : binary_integer<Maximum>(type);
  }
  if (s.is("neg")) return s.has("ftz") ? nullptr : unary_number<Negate>(type);
  if (s.is("abs")) {
    const bool is_unsigned = type == Type::u16 || type == Type::u32 || type == Type::u64;
    return s.has("ftz") || is_unsigned ? nullptr : unary_number<Absolute>(type);
  }
  if (s.is("sqrt")) return unary_rounded<SquareRoot>(s);
  if (s.is("rcp")) return unary_rounded<Reciprocal>(s);
  if (s.is("copysign")) return binary_float<CopySign>(type);
  if (s.is("sad")) return ternary_integer<SumOfDifferences>(type);
  return nullptr;
}

Type widened(Type type) {
  switch (type) {
    case Type::u16:
      return Type::u32;
    case Type::s16:
      return Type::s32;
    case Type::u32:
      return Type::u64;
    default:
      return Type::s64;
  }
}

}  // namespace

bool encode_arithmetic(Encoder& e) {
  const Statement& s = e.statement();
  const Handler handler = arithmetic(s);
  if (handler == nullptr) return false;
  for (size_t k = 0; k < e.operands(); ++k) {
    const bool wide = s.has("wide") && (k == 0 || k == 3);
    e.set(static_cast<int>(k), k, wide ? widened(s.type()) : s.type());
  }
  e.handle(handler);
  return true;
}

}  // namespace ptx
