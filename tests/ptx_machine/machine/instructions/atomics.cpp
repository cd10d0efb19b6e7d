// SPDX-License-Identifier: BSD-3-Clause
//
// atom and red. Lanes take turns, in an order that the seed draws.
#include "apply.h"
#include "settings.h"

namespace ptx {
namespace {

template <typename Operation>
struct Two {
  template <typename T>
  static T apply(T old, T value, T) {
    return Operation::apply(old, value);
  }
};
struct Exchange {
  template <typename T>
  static T apply(T, T value, T) {
    return value;
  }
};
struct CompareAndSwap {
  template <typename T>
  static T apply(T old, T expected, T value) {
    return old == expected ? value : old;
  }
};
struct Increment {
  template <typename T>
  static T apply(T old, T last, T) {
    return old >= last ? T(0) : static_cast<T>(old + 1);
  }
};
struct Decrement {
  template <typename T>
  static T apply(T old, T last, T) {
    return old == 0 || old > last ? last : static_cast<T>(old - 1);
  }
};

template <typename T, typename Operation>
void atomic(Warp& warp, const Instruction& i, uint32_t lanes) {
  uint64_t at[kLanes];
  addresses(warp, i.operands[0], i.address_size, i.immediate, at);
  uint64_t load_from[kLanes];
  std::copy(at, at + kLanes, load_from);
  reach(warp, i, lanes, i.space, Access::load, load_from, sizeof(T));
  reach(warp, i, lanes, i.space, Access::store, at, sizeof(T));
  const In<T> value(warp, i.operands[2]);
  const In<T> second(warp, i.operands[i.operands[3] == kNoOperand ? 2 : 3]);
  const int first = static_cast<int>(random_bits() & 31);
  for (int k = 0; k < kLanes; ++k) {
    const int lane = (k + first) & 31;
    if (!has_lane(lanes, lane)) continue;
    T* to = reinterpret_cast<T*>(at[lane]);
    const T old = *to;
    *to = canonical(Operation::apply(old, value[lane], second[lane]));
    if (i.operands[1] != kNoOperand) {
      result_row<typename Slot<T>::Bits>(warp, i.operands[1])[lane] = Slot<T>::put(old);
    }
  }
}

template <typename T>
Handler atomic_of(const Statement& s) {
  if (s.has("add")) return atomic<T, Two<Add>>;
  if (s.has("min")) return atomic<T, Two<Minimum>>;
  if (s.has("max")) return atomic<T, Two<Maximum>>;
  if (s.has("exch")) return atomic<T, Exchange>;
  if constexpr (std::is_integral_v<T>) {
    if (s.has("cas")) return atomic<T, CompareAndSwap>;
    if (s.has("and")) return atomic<T, Two<And>>;
    if (s.has("or")) return atomic<T, Two<Or>>;
    if (s.has("xor")) return atomic<T, Two<Xor>>;
    if (s.has("inc")) return atomic<T, Increment>;
    if (s.has("dec")) return atomic<T, Decrement>;
  }
  return nullptr;
}

}  // namespace

bool encode_atomics(Encoder& e) {
  const Statement& s = e.statement();
  if (!s.is("atom") && !s.is("red")) return false;
  const size_t address = s.is("atom") ? 1 : 0;
  e.set_address(0, e.operand(address));
  if (s.is("atom")) e.set(1, 0, s.type());
  e.set(2, address + 1, s.type());
  if (e.operands() > address + 2) e.set(3, address + 2, s.type());
  e.handle(for_number(s.type(), [&]<typename T>() -> Handler { return atomic_of<T>(s); }));
  return true;
}

}  // namespace ptx
