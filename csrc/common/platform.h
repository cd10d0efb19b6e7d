// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// FRL_HD marks functions of both devices: the maths is written once and compiled for host and
// device.
#ifdef __CUDACC__
#define FRL_HD __host__ __device__ __forceinline__
#else
#define FRL_HD inline
#endif

// Unrolls the following loop, with the pragma of the compiler.
#define FRL_PRAGMA(words) _Pragma(#words)
#ifdef __CUDACC__
#define FRL_UNROLL(times) FRL_PRAGMA(unroll)
#else
#define FRL_UNROLL(times) FRL_PRAGMA(GCC unroll times)
#endif
