// SPDX-License-Identifier: BSD-3-Clause
//
// The Python module fused_rankloss._C. Importing it loads this shared object, and that registers
// the ops (ops.cpp) and their CPU kernels (cpu/). What it says itself is how it was built.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string>

#include "build_facts.h"  // written by build_tools/native.py
#include "cpu/pair_loops.h"

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

// Py_BuildValue makes None of a null pointer.
const char* unless_empty(const char* text) { return *text ? text : nullptr; }

// TORCH_TARGET_VERSION holds one byte each of major and minor, then zeros.
std::string torch_target() {
  constexpr unsigned long long version = TORCH_TARGET_VERSION;
  return std::to_string(version >> 56) + "." + std::to_string(version >> 48 & 0xff);
}

PyObject* build_info(PyObject*, PyObject*) {
  return Py_BuildValue("{s:s, s:s, s:s, s:s, s:z, s:s, s:O, s:z}",                 //
                       "version", FUSED_RANKLOSS_VERSION,                          //
                       "compiler", kCompiler,                                      //
                       "torch_target", torch_target().c_str(),                     //
                       "cpu_isa", fused_rankloss::cpu::pair_loops().isa,           //
                       "cuda_toolkit", unless_empty(FUSED_RANKLOSS_CUDA_TOOLKIT),  //
                       "cuda_architectures", FUSED_RANKLOSS_CUDA_ARCHITECTURES,    //
                       "experimental", kExperimental ? Py_True : Py_False,         //
                       "cuda_skipped", unless_empty(FUSED_RANKLOSS_CUDA_SKIPPED));
}

PyMethodDef methods[] = {
    {"build_info", build_info, METH_NOARGS,
     "How the package was compiled; cuda_architectures are words of one string, and cuda_skipped "
     "says why there are no CUDA kernels, or is None."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    "_C",
    "The compiled half of fused_rankloss: its ops, its CPU kernels, and how it was built.",
    -1,
    methods,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__C() { return PyModule_Create(&module); }
