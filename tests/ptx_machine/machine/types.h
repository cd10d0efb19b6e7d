// SPDX-License-Identifier: BSD-3-Clause
//
// The types and state spaces of PTX.
#pragma once

#include <cstdint>
#include <string_view>

namespace ptx {

enum class Type : uint8_t {
  none,
  u8,
  s8,
  b8,
  u16,
  s16,
  b16,
  u32,
  s32,
  b32,
  u64,
  s64,
  b64,
  f16,
  bf16,
  f32,
  f64,
  f16x2,
  bf16x2,
  b128,
  pred
};

inline int size_of(Type type) {
  switch (type) {
    case Type::u8:
    case Type::s8:
    case Type::b8:
      return 1;
    case Type::u16:
    case Type::s16:
    case Type::b16:
    case Type::f16:
    case Type::bf16:
      return 2;
    case Type::u32:
    case Type::s32:
    case Type::b32:
    case Type::f32:
    case Type::f16x2:
    case Type::bf16x2:
      return 4;
    case Type::u64:
    case Type::s64:
    case Type::b64:
    case Type::f64:
      return 8;
    case Type::b128:
      return 16;
    default:
      return 0;
  }
}

// "f32" and so on; Type::none for every other word.
inline Type type_named(std::string_view word) {
  struct Name {
    std::string_view word;
    Type type;
  };
  static constexpr Name kNames[] = {
      {"u8", Type::u8},       {"s8", Type::s8},         {"b8", Type::b8},     {"u16", Type::u16},
      {"s16", Type::s16},     {"b16", Type::b16},       {"u32", Type::u32},   {"s32", Type::s32},
      {"b32", Type::b32},     {"u64", Type::u64},       {"s64", Type::s64},   {"b64", Type::b64},
      {"f16", Type::f16},     {"bf16", Type::bf16},     {"f32", Type::f32},   {"f64", Type::f64},
      {"f16x2", Type::f16x2}, {"bf16x2", Type::bf16x2}, {"b128", Type::b128}, {"pred", Type::pred}};
  for (const Name& name : kNames) {
    if (name.word == word) return name.type;
  }
  return Type::none;
}

enum class Space : uint8_t { generic, global, shared, local, param, constant };

}  // namespace ptx
