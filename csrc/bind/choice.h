// SPDX-License-Identifier: BSD-3-Clause
//
// Options with a name: a table for each, which fused_rankloss/functional has as a tuple.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fused_rankloss {

template <typename Value>
struct Named {
  std::string_view name;
  Value value;
};

// The value of a name; `op` and `option` are for the error.
template <typename Value, std::size_t size>
Value choice(std::string_view op, std::string_view option, std::string_view name,
             const Named<Value> (&table)[size]) {
  std::string expected;
  for (std::size_t at = 0; at < size; ++at) {
    if (table[at].name == name) return table[at].value;
    expected += at == 0 ? "" : at + 1 < size ? ", " : " or ";
    expected.append("'").append(table[at].name).append("'");
  }
  throw std::invalid_argument(std::string(op) + ": expected " + std::string(option) + " " +
                              expected + ", got '" + std::string(name) + "'");
}

}  // namespace fused_rankloss
