// SPDX-License-Identifier: BSD-3-Clause
//
// The modules that the objects of csrc/cuda carry, and how a launch went.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "program.h"

namespace ptx {

std::vector<std::unique_ptr<Module>>& modules();

// What went wrong last, in words; empty where nothing did.
std::string& last_failure();

// Forgets it, and the error that cudaGetLastError would return.
void clear_failure();

// One line a launch, until Python asks for them.
std::vector<std::string>& launch_log();

}  // namespace ptx
