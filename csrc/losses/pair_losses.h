// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "losses/hinge.h"
#include "losses/squared_hinge.h"

namespace fused_rankloss {

// Calls `body` with a value of the struct of the pair loss of that name. This is the list of them.
template <typename Body>
decltype(auto) dispatch_pair_loss(std::string_view name, Body&& body) {
  if (name == Hinge::kName) return body(Hinge{});
  if (name == SquaredHinge::kName) return body(SquaredHinge{});
  throw std::invalid_argument("pairwise_forward: expected loss 'hinge' or 'squared_hinge', got '" +
                              std::string(name) + "'");
}

}  // namespace fused_rankloss
