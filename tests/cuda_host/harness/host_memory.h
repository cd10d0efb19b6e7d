// SPDX-License-Identifier: BSD-3-Clause
//
// Memory that exposes reads before the first write, and results that are never written: it is
// filled with the bytes of NaN, which as integers are -1.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bind/torch.h"

namespace fused_rankloss::host {

// An allocation of the exact size.
inline std::vector<std::byte> workspace_of(int64_t bytes) {
  return std::vector<std::byte>(static_cast<std::size_t>(bytes), std::byte{0xff});
}

// Not memset, which may not be given null, not even for no bytes.
inline void leave_traces(const Tensor& result) {
  std::fill_n(static_cast<unsigned char*>(result.mutable_data_ptr()),
              result.numel() * result.element_size(), 0xff);
}

}  // namespace fused_rankloss::host
