// SPDX-License-Identifier: BSD-3-Clause
//
// ld and st, and the check of every address.
#include <cstdio>
#include <cstring>

#include "encoder.h"
#include "lanes.h"
#include "memory.h"
#include "settings.h"

namespace ptx {

void addresses(const Warp& warp, uint32_t operand, int size, int64_t offset, uint64_t* to) {
  if (size == 8) {
    const uint64_t* base = row<uint64_t>(warp, operand);
    for (int lane = 0; lane < kLanes; ++lane) to[lane] = base[lane] + offset;
  } else {  // 32 bits wrap
    const uint32_t* base = row<uint32_t>(warp, operand);
    const uint32_t step = static_cast<uint32_t>(offset);
    for (int lane = 0; lane < kLanes; ++lane) to[lane] = base[lane] + step;
  }
}

namespace {

void note_unwritten(const Warp& warp, const Instruction& i, int lane, const std::string& what) {
  if (settings.check_unwritten == 2) {
    fault(warp, i, 1u << lane, "a load of bytes that nothing has written: " + what);
  }
  const Kernel& kernel = *warp.kernel;
  const size_t at = static_cast<size_t>(&i - kernel.code.data());
  unwritten_loads().insert(source_line(kernel, at) + "\t" + readable_name(kernel.name) + "\t" +
                           kernel.origins[at].text);
}

bool all_written(const uint8_t* flags, uint32_t bytes) {
  switch (bytes) {
    case 4: {
      uint32_t four;
      memcpy(&four, flags, 4);
      return four == 0x01010101u;
    }
    case 8: {
      uint64_t eight;
      memcpy(&eight, flags, 8);
      return eight == 0x0101010101010101u;
    }
    default:
      return memchr(flags, 0, bytes) == nullptr;
  }
}

void reach_shared(Warp& warp, const Instruction& i, uint32_t lanes, Access access, uint64_t* at,
                  uint32_t bytes) {
  Block& block = *warp.block;
  uint8_t* written = block.shared_written.data();
  for_each_lane(lanes, [&](int lane) {
    const uint64_t offset = at[lane];
    if (offset + bytes > block.shared_bytes) {
      fault(warp, i, 1u << lane,
            "shared address " + std::to_string(offset) + " of " +
                std::to_string(block.shared_bytes) + " bytes");
    }
    if (access == Access::store) {
      memset(written + offset, 1, bytes);
    } else if (settings.check_unwritten && !all_written(written + offset, bytes)) {
      note_unwritten(warp, i, lane, "shared address " + std::to_string(offset));
    }
    at[lane] = reinterpret_cast<uint64_t>(block.shared) + offset;
  });
}

void reach_local(Warp& warp, const Instruction& i, uint32_t lanes, uint64_t* at, uint32_t bytes) {
  const uint32_t size = warp.kernel->local_bytes;
  for_each_lane(lanes, [&](int lane) {
    if (at[lane] + bytes > size) {
      fault(warp, i, 1u << lane,
            "local address " + std::to_string(at[lane]) + " of " + std::to_string(size) + " bytes");
    }
    at[lane] += reinterpret_cast<uint64_t>(warp.local) + uint64_t{size} * lane;
  });
}

// Whether a generic address is one of shared memory, local memory or parameters.
bool is_inside_block(Warp& warp, Access access, uint64_t at, uint32_t bytes) {
  Block& block = *warp.block;
  const auto within = [&](const void* begin, uint64_t size) {
    const uint64_t from = reinterpret_cast<uint64_t>(begin);
    return at >= from && at + bytes <= from + size;
  };
  if (within(block.shared, block.shared_bytes)) {
    if (access == Access::store) {
      memset(block.shared_written.data() + (at - reinterpret_cast<uint64_t>(block.shared)), 1,
             bytes);
    }
    return true;
  }
  if (within(warp.local, 32ull * warp.kernel->local_bytes)) return true;
  const std::vector<char>& parameters = warp.kernel->parameter_memory;
  return access == Access::load && within(parameters.data(), parameters.size());
}

[[noreturn]] void refuse_address(const Warp& warp, const Instruction& i, int lane, Access access,
                                 uint64_t at, uint32_t bytes) {
  char text[240];
  snprintf(text, sizeof text, "a %s of %u bytes at %#llx, which is in no allocation",
           access == Access::store ? "store" : "load", bytes, static_cast<unsigned long long>(at));
  std::string message = text;
  for (const uint64_t back : {uint64_t{0}, uint64_t{1}, uint64_t{256}, uint64_t{4096}}) {
    const Allocation* near = find_allocation(at - back);
    if (near == nullptr) continue;
    message += back == 0 ? "; across the end of "
                         : "; " + std::to_string(at - near->end) + " bytes behind the end of ";
    message += near->what + " of " + std::to_string(near->end - near->begin) + " bytes";
    break;
  }
  fault(warp, i, 1u << lane, message);
}

void reach_global(Warp& warp, const Instruction& i, uint32_t lanes, Space space, Access access,
                  uint64_t* at, uint32_t bytes) {
  for_each_lane(lanes, [&](int lane) {
    const uint64_t address = at[lane];
    if (address < i.begin || address + bytes > i.end) {
      const Allocation* found = find_allocation(address);
      if (!found || !found->holds(address, bytes)) {
        const bool may_be_inside = space == Space::generic || space == Space::constant;
        if (may_be_inside && is_inside_block(warp, access, address, bytes)) return;
        refuse_address(warp, i, lane, access, address, bytes);
      }
      i.begin = found->begin;
      i.end = found->end;
      i.written = found->written.get();
    }
    if (i.written == nullptr) return;
    uint8_t* flags = i.written + (address - i.begin);
    if (access == Access::store) {
      memset(flags, 1, bytes);
    } else if (settings.check_unwritten && !all_written(flags, bytes)) {
      note_unwritten(warp, i, lane,
                     "byte " + std::to_string(address - i.begin) + " of an allocation of " +
                         std::to_string(i.end - i.begin));
    }
  });
}

template <typename T, typename Bits>
void load(Warp& warp, const Instruction& i, uint32_t lanes) {
  uint64_t at[kLanes];
  addresses(warp, i.operands[0], i.address_size, i.immediate, at);
  reach(warp, i, lanes, i.space, Access::load, at, sizeof(T) * i.elements);
  for (int k = 0; k < i.elements; ++k) {
    if (i.more[k] == kNoOperand) continue;
    Bits* to = result_row<Bits>(warp, i.more[k]);
    for_each_lane(lanes, [&](int lane) {
      to[lane] = static_cast<Bits>(reinterpret_cast<const T*>(at[lane])[k]);
    });
  }
}

template <typename T, typename Bits>
void store(Warp& warp, const Instruction& i, uint32_t lanes) {
  uint64_t at[kLanes];
  addresses(warp, i.operands[0], i.address_size, i.immediate, at);
  reach(warp, i, lanes, i.space, Access::store, at, sizeof(T) * i.elements);
  for (int k = 0; k < i.elements; ++k) {
    const Bits* from = row<Bits>(warp, i.more[k]);
    for_each_lane(
        lanes, [&](int lane) { reinterpret_cast<T*>(at[lane])[k] = static_cast<T>(from[lane]); });
  }
}

// Registers may be wider than what is loaded, which is then extended.
template <typename Bits>
Handler load_of(Type type) {
  switch (type) {
    case Type::u8:
    case Type::b8:
      return load<uint8_t, Bits>;
    case Type::s8:
      return load<int8_t, Bits>;
    case Type::u16:
    case Type::b16:
    case Type::f16:
    case Type::bf16:
      return load<uint16_t, Bits>;
    case Type::s16:
      return load<int16_t, Bits>;
    case Type::s32:
      return load<int32_t, Bits>;
    default:
      return size_of(type) == 4 ? load<uint32_t, Bits> : nullptr;
  }
}

template <typename Bits>
Handler store_of(int bytes) {
  return bytes == 1   ? store<uint8_t, Bits>
         : bytes == 2 ? store<uint16_t, Bits>
         : bytes == 4 ? store<uint32_t, Bits>
                      : nullptr;
}

// The register of a vector, or the first one.
const Operand& first_register(const Operand& operand) {
  if (operand.kind != Operand::Kind::vector) return operand;
  for (const Operand& element : operand.elements) {
    if (element.kind == Operand::Kind::reg) return element;
  }
  return operand.elements[0];
}

}  // namespace

void reach(Warp& warp, const Instruction& i, uint32_t lanes, Space space, Access access,
           uint64_t* at, uint32_t bytes) {
  for_each_lane(lanes, [&](int lane) {
    if (at[lane] & (bytes - 1)) {
      fault(warp, i, 1u << lane,
            "address " + std::to_string(at[lane]) + " is no multiple of " + std::to_string(bytes));
    }
  });
  switch (space) {
    case Space::shared:
      return reach_shared(warp, i, lanes, access, at, bytes);
    case Space::local:
      return reach_local(warp, i, lanes, at, bytes);
    case Space::param:
      return;
    default:
      return reach_global(warp, i, lanes, space, access, at, bytes);
  }
}

bool encode_memory(Encoder& e) {
  const Statement& s = e.statement();
  const Type type = s.type();
  if (s.is("ld") || s.is("ldu")) {
    e.set_address(0, e.operand(1));
    e.set_elements(e.operand(0), type);
    const bool wide = e.width(first_register(e.operand(0)), type) == 8;
    e.handle(size_of(type) == 8 ? load<uint64_t, uint64_t>
             : wide             ? load_of<uint64_t>(type)
                                : load_of<uint32_t>(type));
  } else if (s.is("st")) {
    e.set_address(0, e.operand(0));
    const bool wide = e.width(first_register(e.operand(1)), type) == 8;
    e.set_elements(e.operand(1), wide ? Type::b64 : Type::b32);
    e.handle(size_of(type) == 8 ? store<uint64_t, uint64_t>
             : wide             ? store_of<uint64_t>(size_of(type))
                                : store_of<uint32_t>(size_of(type)));
  } else {
    return false;
  }
  return true;
}

}  // namespace ptx
