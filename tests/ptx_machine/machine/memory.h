// SPDX-License-Identifier: BSD-3-Clause
//
// The global memory that kernels may reach: allocations that live now, and which of their bytes
// hold something. Everything else is a fault.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>

namespace ptx {

struct Allocation {
  uint64_t begin = 1, end = 0;
  uint64_t whole_begin = 1, whole_end = 0;  // of what it is a part of, or itself
  std::string what;
  std::unique_ptr<uint8_t[]> written;  // a byte each, 0 until it is written; null: all are

  bool holds(uint64_t address, uint64_t bytes) const {
    return address >= begin && address + bytes <= end;
  }
};

// `tracked`: nothing is written yet.
void add_allocation(uint64_t begin, uint64_t bytes, std::string what, bool tracked);
void remove_allocation(uint64_t begin);  // with its parts

// A part of an allocation. From the first part on, memory between parts is out of bounds.
void add_part(uint64_t begin, uint64_t bytes, std::string what, bool tracked);

// The one that an address is in, or null.
Allocation* find_allocation(uint64_t address);

// Notes that the host has written there, several parts perhaps; false where that is in no
// allocation.
bool mark_written(uint64_t begin, uint64_t bytes);

// Loads of bytes that nothing has written, one line for each instruction: kernels may load more
// than they use.
std::set<std::string>& unwritten_loads();

// From here on every allocation counts as written. Returns what an earlier one lacks, in words.
std::string settle_allocations();

}  // namespace ptx
