// SPDX-License-Identifier: BSD-3-Clause
//
// What cuTensorMapEncodeTiled leaves in the 128 bytes of a CUtensorMap: the machine's own layout.
#pragma once

#include <cstdint>

namespace ptx {

struct TensorMap {
  static constexpr uint64_t kMagic = 0x7074782d6d617073;

  uint64_t magic;
  uint64_t base;
  uint64_t size[2];  // numbers per row, rows
  uint64_t stride;   // bytes from row to row
  uint32_t box[2];
  uint32_t swizzled;  // 128-byte swizzle, or none
};

}  // namespace ptx
