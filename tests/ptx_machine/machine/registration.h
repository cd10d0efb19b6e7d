// SPDX-License-Identifier: BSD-3-Clause
//
// Compiled in front of each .cu file and of ops.cpp: the ops and their CUDA launchers register
// themselves for CPU tensors, in a namespace beside the one of the package; and the arrays of a
// workspace have ends of their own.
#pragma once

#include <torch/csrc/stable/library.h>

#define Workspace PlainWorkspace
#include "common/workspace.h"
#undef Workspace

extern "C" void ptx_add_workspace_array(const void* array, int64_t bytes);

namespace fused_rankloss {

// Padding between arrays is out of bounds.
class Workspace : public PlainWorkspace {
 public:
  using PlainWorkspace::PlainWorkspace;

  template <typename T>
  T* take(int64_t count) {
    T* array = PlainWorkspace::take<T>(count);
    if (array != nullptr) ptx_add_workspace_array(array, count * int64_t{sizeof(T)});
    return array;
  }
};

}  // namespace fused_rankloss

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
