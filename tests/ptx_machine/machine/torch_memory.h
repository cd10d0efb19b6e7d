// SPDX-License-Identifier: BSD-3-Clause
//
// The memory of tensors, as torch_memory.cpp keeps it.
#pragma once

#include <cstdint>

namespace ptx {

// The index of the emulated device, by which launchers remember what it is: of CPU tensors torch
// allows -1 and 0.
extern int64_t device_index;

// Whether an op runs: what is allocated then holds nothing yet.
extern bool in_op;

// For every CPU tensor that is made until it is uninstalled.
void install_allocator();
void uninstall_allocator();

}  // namespace ptx
