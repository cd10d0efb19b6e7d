// SPDX-License-Identifier: BSD-3-Clause
//
// Handlers of instructions that compute one result from operands of one type.
#pragma once

#include <utility>

#include "encoder.h"
#include "lanes.h"
#include "numbers.h"

namespace ptx {

template <typename Result, typename A, typename Operation>
void unary(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<A> a(warp, i.operands[1]);
  write<Result>(warp, i.operands[0], lanes, [&](int lane) { return Operation::apply(a[lane]); });
}

template <typename Result, typename A, typename B, typename Operation>
void binary(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<A> a(warp, i.operands[1]);
  const In<B> b(warp, i.operands[2]);
  write<Result>(warp, i.operands[0], lanes,
                [&](int lane) { return canonical<Result>(Operation::apply(a[lane], b[lane])); });
}

template <typename Result, typename A, typename B, typename C, typename Operation>
void ternary(Warp& warp, const Instruction& i, uint32_t lanes) {
  const In<A> a(warp, i.operands[1]);
  const In<B> b(warp, i.operands[2]);
  const In<C> c(warp, i.operands[3]);
  write<Result>(warp, i.operands[0], lanes, [&](int lane) {
    return canonical<Result>(Operation::apply(a[lane], b[lane], c[lane]));
  });
}

// choose.operator()<T>() for the C++ type of an integer type, null for others.
template <typename Choose>
Handler for_integer(Type type, Choose&& choose) {
  switch (type) {
    case Type::u16:
    case Type::b16:
      return choose.template operator()<uint16_t>();
    case Type::s16:
      return choose.template operator()<int16_t>();
    case Type::u32:
    case Type::b32:
      return choose.template operator()<uint32_t>();
    case Type::s32:
      return choose.template operator()<int32_t>();
    case Type::u64:
    case Type::b64:
      return choose.template operator()<uint64_t>();
    case Type::s64:
      return choose.template operator()<int64_t>();
    default:
      return nullptr;
  }
}

template <typename Choose>
Handler for_float(Type type, Choose&& choose) {
  return type == Type::f32   ? choose.template operator()<float>()
         : type == Type::f64 ? choose.template operator()<double>()
                             : nullptr;
}

template <typename Choose>
Handler for_number(Type type, Choose&& choose) {
  const Handler handler = for_float(type, choose);
  return handler ? handler : for_integer(type, choose);
}

template <typename Operation>
Handler unary_integer(Type type) {
  return for_integer(type, []<typename T>() -> Handler { return unary<T, T, Operation>; });
}
template <typename Operation>
Handler unary_number(Type type) {
  return for_number(type, []<typename T>() -> Handler { return unary<T, T, Operation>; });
}
template <typename Operation>
Handler binary_integer(Type type) {
  return for_integer(type, []<typename T>() -> Handler { return binary<T, T, T, Operation>; });
}
template <typename Operation>
Handler binary_number(Type type) {
  return for_number(type, []<typename T>() -> Handler { return binary<T, T, T, Operation>; });
}
template <typename Operation>
Handler ternary_integer(Type type) {
  return for_integer(type, []<typename T>() -> Handler { return ternary<T, T, T, T, Operation>; });
}

}  // namespace ptx
