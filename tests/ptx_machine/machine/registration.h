// SPDX-License-Identifier: BSD-3-Clause
//
// Compiled in front of each .cu file and of ops.cpp: the ops and their CUDA launchers register
// themselves for CPU tensors, in a namespace beside the one of the package.
#pragma once

#include <torch/csrc/stable/library.h>

#undef STABLE_TORCH_LIBRARY_IMPL
#define STABLE_TORCH_LIBRARY_IMPL(ns, key, m) \
  _STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_ptx, CPU, m, C10_UID)

#undef STABLE_TORCH_LIBRARY
#define STABLE_TORCH_LIBRARY(ns, m)                                                        \
  static void ptx_schemas(torch::stable::detail::StableLibrary&);                          \
  static const torch::stable::detail::StableTorchLibraryInit ptx_schemas_init(             \
      torch::stable::detail::StableLibrary::Kind::DEF, &ptx_schemas, "fused_rankloss_ptx", \
      nullptr, __FILE__, __LINE__);                                                        \
  void ptx_schemas(torch::stable::detail::StableLibrary& m)
