// SPDX-License-Identifier: BSD-3-Clause
//
// The functions that CUDA C++ has built in, for the host harness (cuda_host.h includes this).
#pragma once

using cuda_host::Where;

// ---- Barriers and fences ---------------------------------------------------

inline int __syncthreads_count(int predicate, Where where = Where::current()) {
  return cuda_host::Machine::get().barrier(where, predicate != 0);
}
inline int __syncthreads_or(int predicate, Where where = Where::current()) {
  return __syncthreads_count(predicate, where) > 0;
}
inline int __syncthreads_and(int predicate, Where where = Where::current()) {
  return __syncthreads_count(predicate == 0, where) == 0;
}
inline void __syncthreads(Where where = Where::current()) { __syncthreads_count(0, where); }
inline void __syncwarp(unsigned mask = 0xffffffffu, Where where = Where::current()) {
  cuda_host::Machine::get().sync_warp(mask, where);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace fused_rankloss::cuda {

// Of csrc/cuda/primitives/grid.cuh.
using CallSite = Where;
inline void block_barrier(CallSite site = CallSite::current()) { __syncthreads(site); }
inline void grid_barrier(CallSite site = CallSite::current()) {
  cuda_host::Machine::get().grid_barrier(site);
}

}  // namespace fused_rankloss::cuda

// ---- Warp-wide operations --------------------------------------------------

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, Where where = Where::current()) {
  return cuda_host::shuffle(mask, value, width, "__shfl_sync", where,
                            [=](int) { return source & (width - 1); });
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 Where where = Where::current()) {
  return cuda_host::shuffle(mask, value, width, "__shfl_up_sync", where,
                            [=](int lane) { return lane - static_cast<int>(delta); });
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   Where where = Where::current()) {
  return cuda_host::shuffle(mask, value, width, "__shfl_down_sync", where,
                            [=](int lane) { return lane + static_cast<int>(delta); });
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  Where where = Where::current()) {
  return cuda_host::shuffle(mask, value, width, "__shfl_xor_sync", where,
                            [=](int lane) { return lane ^ lanes; });
}

inline unsigned __ballot_sync(unsigned mask, int predicate, Where where = Where::current()) {
  unsigned ballot = 0;
  cuda_host::for_each_lane(mask, predicate, "__ballot_sync", where, [&](int lane, int voted) {
    ballot |= static_cast<unsigned>(voted != 0) << lane;
  });
  return ballot;
}
inline int __any_sync(unsigned mask, int predicate, Where where = Where::current()) {
  return __ballot_sync(mask, predicate, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, Where where = Where::current()) {
  return __ballot_sync(mask, predicate, where) == mask;
}
template <typename T>
unsigned __match_any_sync(unsigned mask, T value, Where where = Where::current()) {
  unsigned same = 0;
  cuda_host::for_each_lane(mask, value, "__match_any_sync", where, [&](int lane, T other) {
    same |= static_cast<unsigned>(other == value) << lane;
  });
  return same;
}
template <typename T>
unsigned __match_all_sync(unsigned mask, T value, int* all, Where where = Where::current()) {
  *all = __match_any_sync(mask, value, where) == mask;
  return *all ? mask : 0;
}

template <typename T>
T __reduce_add_sync(unsigned mask, T value, Where where = Where::current()) {
  return cuda_host::reduce(mask, value, "__reduce_add_sync", where,
                           [](T a, T b) { return static_cast<T>(a + b); });
}
template <typename T>
T __reduce_min_sync(unsigned mask, T value, Where where = Where::current()) {
  return cuda_host::reduce(mask, value, "__reduce_min_sync", where,
                           [](T a, T b) { return a < b ? a : b; });
}
template <typename T>
T __reduce_max_sync(unsigned mask, T value, Where where = Where::current()) {
  return cuda_host::reduce(mask, value, "__reduce_max_sync", where,
                           [](T a, T b) { return a < b ? b : a; });
}
template <typename T>
T __reduce_and_sync(unsigned mask, T value, Where where = Where::current()) {
  return cuda_host::reduce(mask, value, "__reduce_and_sync", where, [](T a, T b) { return a & b; });
}
template <typename T>
T __reduce_or_sync(unsigned mask, T value, Where where = Where::current()) {
  return cuda_host::reduce(mask, value, "__reduce_or_sync", where, [](T a, T b) { return a | b; });
}

// ---- Atomics ---------------------------------------------------------------

template <typename T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return cuda_host::atomic(address, [=](T old) { return static_cast<T>(old + value); });
}
template <typename T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return cuda_host::atomic(address, [=](T old) { return value < old ? value : old; });
}
template <typename T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return cuda_host::atomic(address, [=](T old) { return old < value ? value : old; });
}
template <typename T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return cuda_host::atomic(address, [=](T old) { return static_cast<T>(old | value); });
}
template <typename T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return cuda_host::atomic(address, [=](T) { return value; });
}
template <typename T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return cuda_host::atomic(address, [=](T old) { return old == expected ? value : old; });
}

// ---- Arithmetic ------------------------------------------------------------

inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }

inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __ffsll(long long value) { return __builtin_ffsll(value); }
inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __popcll(unsigned long long value) { return __builtin_popcountll(value); }
inline int __clz(int value) { return value == 0 ? 32 : __builtin_clz(value); }
inline int __clzll(long long value) { return value == 0 ? 64 : __builtin_clzll(value); }
