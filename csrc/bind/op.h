// SPDX-License-Identifier: BSD-3-Clause
//
// How a device makes an op of a call, the class that checks the op's arguments and allocates its
// results:
//
//   m.impl("pairwise_forward", boxed<&Op<PairwiseCall, solve>::run>());
//
// The parameters' C++ types follow from Call::kSchema, with which the Stable ABI would not compare
// them: an op of other types would read one argument as another.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "bind/torch.h"

namespace fused_rankloss {

// The parameters of a schema: "Tensor scores, Tensor? mask, float margin". One that is written to
// has the type "Tensor(a!)". GCC 12 with -fsanitize=undefined evaluates std::ranges::find at
// compile time, but not std::string_view::find.
constexpr std::string_view parameters_of(std::string_view schema) {
  const auto begin = std::ranges::find(schema, '(') + 1;
  return {begin, std::ranges::search(schema, std::string_view(") ->")).begin()};
}

constexpr std::size_t number_of_parameters(std::string_view schema) {
  std::size_t number = 1;
  for (const char c : parameters_of(schema)) number += c == ',';
  return number;
}

// The type of one parameter, as the schema names it.
constexpr std::string_view type_of_parameter(std::string_view schema, std::size_t index) {
  const std::string_view parameters = parameters_of(schema);
  auto begin = parameters.begin();
  for (; index > 0; --index) begin = std::find(begin, parameters.end(), ',') + 2;
  return {begin, std::find(begin, parameters.end(), ' ')};
}

template <class Call, std::size_t index>
constexpr auto parameter() {
  constexpr std::string_view kType = type_of_parameter(Call::kSchema, index);
  if constexpr (kType == "Tensor" || kType == "Tensor(a!)") {
    return std::type_identity<const Tensor&>{};
  } else if constexpr (kType == "Tensor?") {
    return std::type_identity<const OptionalTensor&>{};
  } else if constexpr (kType == "str") {
    return std::type_identity<const std::string&>{};
  } else if constexpr (kType == "float") {
    return std::type_identity<double>{};
  } else if constexpr (kType == "int") {
    return std::type_identity<int64_t>{};
  } else if constexpr (kType == "bool") {
    return std::type_identity<bool>{};
  } else {
    static_assert(kType == "ScalarType", "a type that no op has had so far");
    return std::type_identity<ScalarType>{};
  }
}

template <class Call, auto solve,
          class = std::make_index_sequence<number_of_parameters(Call::kSchema)>>
struct Op;

template <class Call, auto solve, std::size_t... index>
struct Op<Call, solve, std::index_sequence<index...>> {
  static auto run(typename decltype(parameter<Call, index>())::type... arguments) {
    Call call{arguments...};  // braces convert no integer to a float
    solve(call);
    return call.results();
  }
};

}  // namespace fused_rankloss
