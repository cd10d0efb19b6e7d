// SPDX-License-Identifier: BSD-3-Clause
//
// The list of pair losses: the kernels of both devices are instantiated for every entry.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "losses/hinge.h"
#include "losses/squared_hinge.h"

namespace fused_rankloss {

template <typename... Losses>
struct LossList {
  static constexpr int kSize = sizeof...(Losses);

  template <typename Loss>
  static constexpr int index_of() {
    int index = 0, found = -1;
    ((found = std::is_same_v<Loss, Losses> ? index : found, ++index), ...);
    return found;
  }
};

using PairLosses = LossList<Hinge, SquaredHinge>;

template <typename Body, typename First, typename... Rest>
decltype(auto) dispatch_loss(LossList<First, Rest...>, std::string_view name, Body&& body) {
  if (name == First::kName) return body(First{});
  if constexpr (sizeof...(Rest) > 0) {
    return dispatch_loss(LossList<Rest...>{}, name, body);
  } else {
    throw std::invalid_argument("pairwise_forward: expected the name of a pair loss, got '" +
                                std::string(name) + "'");
  }
}

// Calls `body` with a value of the struct of the pair loss with that name.
template <typename Body>
decltype(auto) dispatch_pair_loss(std::string_view name, Body&& body) {
  return dispatch_loss(PairLosses{}, name, body);
}

}  // namespace fused_rankloss
