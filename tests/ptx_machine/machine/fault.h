// SPDX-License-Identifier: BSD-3-Clause
//
// What ends a launch: a fault of a kernel, or PTX that the machine does not know.
#pragma once

#include <cstdint>
#include <string>

#include "program.h"

namespace ptx {

struct Fault {
  std::string text;
};

// Names block, warp, lanes, the instruction, its source line and the kernel.
[[noreturn]] void fault(const Warp& warp, const Instruction& instruction, uint32_t lanes,
                        const std::string& text);

// A PTX text that is wrong, or right and beyond the machine.
[[noreturn]] void unsupported(const std::string& text);

}  // namespace ptx
