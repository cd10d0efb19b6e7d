// SPDX-License-Identifier: BSD-3-Clause
//
// The Python module fused_rankloss._C. Importing it loads this shared object, and that registers
// the ops (ops.cpp) and their CPU kernels (cpu/). What it says itself is how it was built.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "build_facts.h"  // written by build_tools/native.py
#include "cpu/pair_loops.h"
#include "cpu/parallel.h"

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

// What a signal handler has raised while an op ran; null if nothing is waiting to be raised.
PyObject* interruption = nullptr;

// Takes the exception that is set, with its traceback.
PyObject* take_raised() {
#if PY_VERSION_HEX >= 0x030c0000
  return PyErr_GetRaisedException();
#else
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
#endif
}

// Runs Python's signal handlers. What one of them raises cannot cross torch's dispatcher as it is.
void check_signals() {
  if (!Py_IsInitialized()) return;
  const PyGILState_STATE state = PyGILState_Ensure();
  const bool raised = PyErr_CheckSignals() != 0;
  if (raised) Py_XDECREF(std::exchange(interruption, take_raised()));
  PyGILState_Release(state);
  if (raised) throw std::runtime_error("fused_rankloss: interrupted by a signal handler");
}

PyObject* poll_signals(PyObject*, PyObject*) {
  fused_rankloss::cpu::set_interrupt_check(check_signals);
  Py_RETURN_NONE;
}

PyObject* take_interruption(PyObject*, PyObject*) {
  if (interruption == nullptr) Py_RETURN_NONE;
  return std::exchange(interruption, nullptr);
}

PyMethodDef methods[] = {
    {"build_info", build_info, METH_NOARGS,
     "How the package was compiled; cuda_architectures are words of one string, and cuda_skipped "
     "says why there are no CUDA kernels, or is None."},
    {"poll_signals", poll_signals, METH_NOARGS,
     "Lets signal handlers run while an op works, on the main thread, which calls this once."},
    {"take_interruption", take_interruption, METH_NOARGS,
     "What a signal handler raised while an op ran, once; None if nothing."},
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
