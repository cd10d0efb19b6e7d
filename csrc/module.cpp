// SPDX-License-Identifier: BSD-3-Clause
//
// The Python module fused_rankloss._C. Importing it loads this shared object, and that registers
// the ops (ops.cpp) and their CPU kernels (cpu/). What it says itself is how it was built.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "build_facts.h"  // written by build_tools/native.py
#include "cpu/lists/parallel.h"
#include "cpu/simd/pair_loops.h"

namespace {

#ifdef __clang__
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

#ifdef FUSED_RANKLOSS_EXPERIMENTAL
constexpr bool kExperimental = true;
#else
constexpr bool kExperimental = false;
#endif

std::optional<std::string> unless_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

// TORCH_TARGET_VERSION holds one byte each of major and minor, then zeros.
std::string torch_target() {
  constexpr unsigned long long version = TORCH_TARGET_VERSION;
  return std::to_string(version >> 56) + "." + std::to_string(version >> 48 & 0xff);
}

pybind11::dict build_info() {
  pybind11::dict info;
  info["version"] = FUSED_RANKLOSS_VERSION;
  info["compiler"] = kCompiler;
  info["torch_target"] = torch_target();
  info["cpu_isa"] = fused_rankloss::cpu::pair_loops().isa;
  info["cuda_toolkit"] = unless_empty(FUSED_RANKLOSS_CUDA_TOOLKIT);
  info["cuda_architectures"] = words(FUSED_RANKLOSS_CUDA_ARCHITECTURES);
  info["experimental"] = kExperimental;
  info["cuda_skipped"] = unless_empty(FUSED_RANKLOSS_CUDA_SKIPPED);
  return info;
}

// What a signal handler has raised while an op ran; null if nothing is waiting to be raised.
PyObject* interruption = nullptr;

// Runs Python's signal handlers. What one of them raises cannot cross torch's dispatcher as it is.
void check_signals() {
  if (!Py_IsInitialized()) return;
  const pybind11::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() == 0) return;
  const pybind11::error_already_set raised;
  Py_XDECREF(interruption);
  interruption = pybind11::object(raised.value()).release().ptr();
  throw std::runtime_error("fused_rankloss: interrupted by a signal handler");
}

pybind11::object take_interruption() {
  if (interruption == nullptr) return pybind11::none();
  return pybind11::reinterpret_steal<pybind11::object>(std::exchange(interruption, nullptr));
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "The compiled half of fused_rankloss: its ops, its CPU kernels, and how it was built.";
  m.def("build_info", &build_info,
        "How the package was compiled; cuda_skipped says why without CUDA kernels, or is None.");
  m.def(
      "poll_signals", [] { fused_rankloss::cpu::set_interrupt_check(check_signals); },
      "Lets signal handlers run while an op works, on the main thread, which calls this once.");
  m.def("take_interruption", &take_interruption,
        "What a signal handler raised while an op ran, once; None if nothing.");
}
