// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes that only speed depends on, as data. Results depend on them in the last bits at most, and
// never on the number of threads.
#pragma once

#include <cstdint>

namespace fused_rankloss::cpu {

// Tiles of kTileSize x kTileSize pairs of rows, of operands in panels of kPanel: three vectors of
// AVX-512, a multiple of three vectors of every other set. Products of tiles and rows are a
// multiple of kWideColumns wide. Depth that is multiplied at a time.
inline constexpr int64_t kPanel = 48;
inline constexpr int64_t kTileSize = 96;
inline constexpr int64_t kWideColumns = 32;
inline constexpr int64_t kTileDepth = 256;

}  // namespace fused_rankloss::cpu
