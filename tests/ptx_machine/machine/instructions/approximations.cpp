// SPDX-License-Identifier: BSD-3-Clause
//
// The instructions of the special function unit: ex2, lg2, sin, cos, tanh, and the .approx forms of
// div, rcp, sqrt and rsqrt. PTX bounds their errors only. Here they are off by up to one ulp,
// always alike for one operand and seed (Settings::rounding_noise).
#include <cstring>

#include "apply.h"
#include "settings.h"

namespace ptx {
namespace {

float noisy(float exact, uint32_t key) {
  if (!settings.rounding_noise || !std::isfinite(exact) || exact == 0) return canonical(exact);
  uint32_t hash = (key ^ static_cast<uint32_t>(settings.seed)) * 2654435761u;
  hash ^= hash >> 15;
  hash *= 2246822519u;
  hash ^= hash >> 13;
  const float off = std::bit_cast<float>(std::bit_cast<uint32_t>(exact) + hash % 3 - 1);
  return std::isfinite(off) ? off : exact;
}

template <bool ftz>
float flushed_if(float value) {
  return ftz ? flushed(value) : value;
}

template <bool ftz>
struct Exponential2 {
  static float apply(float a) {
    a = flushed_if<ftz>(a);
    if (a == 0) return 1.0f;
    const float exact = static_cast<float>(std::exp2(static_cast<double>(a)));
    return flushed_if<ftz>(noisy(exact, std::bit_cast<uint32_t>(a)));
  }
};
template <bool ftz>
struct Logarithm2 {
  static float apply(float a) {
    a = flushed_if<ftz>(a);
    const float exact = static_cast<float>(std::log2(static_cast<double>(a)));
    return a == 1 ? 0.0f : noisy(exact, std::bit_cast<uint32_t>(a));
  }
};
template <bool ftz>
struct ReciprocalSquareRoot {
  static float apply(float a) {
    a = flushed_if<ftz>(a);
    const float exact = static_cast<float>(1 / std::sqrt(static_cast<double>(a)));
    return noisy(exact, std::bit_cast<uint32_t>(a));
  }
};
template <bool ftz>
struct SquareRoot {
  static float apply(float a) {
    a = flushed_if<ftz>(a);
    return noisy(std::sqrt(a), std::bit_cast<uint32_t>(a));
  }
};
template <bool ftz>
struct Reciprocal {
  static float apply(float a) {
    a = flushed_if<ftz>(a);
    return flushed_if<ftz>(noisy(1.0f / a, std::bit_cast<uint32_t>(a)));
  }
};
template <bool ftz>
struct Divide {
  static float apply(float a, float b) {
    a = flushed_if<ftz>(a);
    b = flushed_if<ftz>(b);
    if (std::fabs(b) > 0x1p126f && std::isfinite(b)) {  // PTX: 0, and NaN for infinities
      const float sign = std::signbit(a) != std::signbit(b) ? -0.0f : 0.0f;
      return std::isinf(a) || a != a ? std::bit_cast<float>(kCanonicalNan) : sign;
    }
    const uint32_t key = std::bit_cast<uint32_t>(a) * 31 + std::bit_cast<uint32_t>(b);
    return flushed_if<ftz>(noisy(a / b, key));
  }
};
struct Sine {
  static float apply(float a) { return noisy(std::sin(a), std::bit_cast<uint32_t>(a)); }
};
struct Cosine {
  static float apply(float a) { return noisy(std::cos(a), std::bit_cast<uint32_t>(a)); }
};
struct HyperbolicTangent {
  static float apply(float a) { return noisy(std::tanh(a), std::bit_cast<uint32_t>(a)); }
};

// The fp64 forms work on the high word of their operand: about 20 bits of the result.
double high_word(double value) {
  return std::bit_cast<double>(std::bit_cast<uint64_t>(value) & 0xffffffff00000000ull);
}
struct WideReciprocal {
  static double apply(double a) {
    const double exact = high_word(flushed(1 / flushed(high_word(a))));
    if (!settings.rounding_noise || !std::isfinite(exact) || exact == 0) return exact;
    uint64_t hash = std::bit_cast<uint64_t>(a) >> 32 ^ static_cast<uint64_t>(settings.seed);
    hash *= 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
    return std::bit_cast<double>(std::bit_cast<uint64_t>(exact) + (hash % 3 << 32));
  }
};
struct WideReciprocalSquareRoot {
  static double apply(double a) { return high_word(flushed(1 / std::sqrt(flushed(high_word(a))))); }
};

template <template <bool> typename Operation>
Handler unary_approximation(bool ftz) {
  return ftz ? unary<float, float, Operation<true>> : unary<float, float, Operation<false>>;
}

Handler approximation(const Statement& s) {
  const bool ftz = s.has("ftz"), wide = s.type() == Type::f64;
  if (s.is("rsqrt")) {
    return wide ? unary<double, double, WideReciprocalSquareRoot>
                : unary_approximation<ReciprocalSquareRoot>(ftz);
  }
  if (s.type() == Type::f32) {
    if (s.is("ex2")) return unary_approximation<Exponential2>(ftz);
    if (s.is("lg2")) return unary_approximation<Logarithm2>(ftz);
    if (s.is("sin")) return unary<float, float, Sine>;
    if (s.is("cos")) return unary<float, float, Cosine>;
    if (s.is("tanh")) return unary<float, float, HyperbolicTangent>;
    if (s.is("div") && (s.has("approx") || s.has("full"))) {
      return ftz ? binary<float, float, float, Divide<true>>
                 : binary<float, float, float, Divide<false>>;
    }
  }
  if (!s.has("approx")) return nullptr;
  if (s.is("rcp")) {
    return wide ? unary<double, double, WideReciprocal> : unary_approximation<Reciprocal>(ftz);
  }
  return s.is("sqrt") && !wide ? unary_approximation<SquareRoot>(ftz) : nullptr;
}

}  // namespace

bool encode_approximations(Encoder& e) {
  const Handler handler = approximation(e.statement());
  if (handler == nullptr) return false;
  for (size_t k = 0; k < e.operands(); ++k) e.set(static_cast<int>(k), k, e.statement().type());
  e.handle(handler);
  return true;
}

}  // namespace ptx
