// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "cuda/one_list_plan.cuh"
#include "host_device.h"

namespace fused_rankloss::host {

// What a GPU's stream is to the plans of one list alone.
class OneListDevice : public HostDevice {
 public:
  using HostDevice::HostDevice;

  void unsolved(const PairwiseArgs& args, void* memory, const uint32_t* solved) {
    with_unsolved_list(args, [&](const auto& plan) { plan.run(*this, memory, solved); });
  }
};

}  // namespace fused_rankloss::host
