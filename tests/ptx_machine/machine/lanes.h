// SPDX-License-Identifier: BSD-3-Clause
//
// How handlers see the lanes of a warp: rows as arrays of 32 values. All 32 are computed, and those
// of the mask stored, so that the compiler makes vectors of the loops.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "grid.h"

namespace ptx {

inline constexpr int kLanes = 32;
inline constexpr uint32_t kAllLanes = ~0u;

inline bool has_lane(uint32_t lanes, int lane) { return lanes >> lane & 1; }

template <typename Body>
void for_each_lane(uint32_t lanes, Body&& body) {
  for (; lanes != 0; lanes &= lanes - 1) body(std::countr_zero(lanes));
}

// How a type lies in its row: 8 and 16 bits in 32, zeros above.
template <typename T>
struct Slot {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  static T get(Bits bits) {
    if constexpr (sizeof(T) == sizeof(Bits)) {
      return std::bit_cast<T>(bits);
    } else {
      return static_cast<T>(bits);
    }
  }
  static Bits put(T value) {
    if constexpr (sizeof(T) == sizeof(Bits)) {
      return std::bit_cast<Bits>(value);
    } else {
      return static_cast<std::make_unsigned_t<T>>(value);
    }
  }
};

template <typename T>
const T* row(const Warp& warp, uint32_t operand) {
  const char* base = operand & kConstantRow ? warp.constants : warp.registers;
  return reinterpret_cast<const T*>(base + (operand & ~kConstantRow));
}
template <typename T>
T* result_row(Warp& warp, uint32_t operand) {
  return reinterpret_cast<T*>(warp.registers + operand);
}

template <typename T>
class In {
 public:
  In(const Warp& warp, uint32_t operand) : bits_(row<typename Slot<T>::Bits>(warp, operand)) {}
  T operator[](int lane) const { return Slot<T>::get(bits_[lane]); }

 private:
  const typename Slot<T>::Bits* bits_;
};

// Stores value(lane) for the lanes of a mask.
template <typename T, typename Value>
void write(Warp& warp, uint32_t operand, uint32_t lanes, Value&& value) {
  auto* bits = result_row<typename Slot<T>::Bits>(warp, operand);
  if (lanes == kAllLanes) {
    for (int lane = 0; lane < kLanes; ++lane) bits[lane] = Slot<T>::put(value(lane));
    return;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto next = Slot<T>::put(value(lane));
    bits[lane] = has_lane(lanes, lane) ? next : bits[lane];
  }
}

inline uint32_t predicate(const Warp& warp, const Instruction& instruction, int operand) {
  const uint32_t bits = *row<uint32_t>(warp, instruction.operands[operand]);
  return instruction.negated >> operand & 1 ? ~bits : bits;
}
inline void write_predicate(Warp& warp, uint32_t operand, uint32_t lanes, uint32_t bits) {
  if (operand == kNoOperand) return;
  uint32_t& to = *result_row<uint32_t>(warp, operand);
  to = (to & ~lanes) | (bits & lanes);
}

// Addresses of an instruction's memory operand, one per lane.
void addresses(const Warp& warp, uint32_t operand, int size, int64_t offset, uint64_t* to);

enum class Access { load, store };
// Makes host addresses of them. A lane that reaches where it must not is a fault.
void reach(Warp& warp, const Instruction& instruction, uint32_t lanes, Space space, Access access,
           uint64_t* addresses, uint32_t bytes);

}  // namespace ptx
