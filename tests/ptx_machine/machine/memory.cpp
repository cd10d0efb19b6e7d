// SPDX-License-Identifier: BSD-3-Clause
#include "memory.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

namespace ptx {
namespace {

// torch frees tensors on threads of its own, too.
std::mutex mutex;

std::map<uint64_t, Allocation>& allocations() {
  static std::map<uint64_t, Allocation> all;
  return all;
}

// The last one that begins at an address or before it, or null.
Allocation* last_before(uint64_t address) {
  auto next = allocations().upper_bound(address);
  if (next == allocations().begin()) return nullptr;
  return &std::prev(next)->second;
}

void add(Allocation allocation, bool tracked) {
  const uint64_t bytes = allocation.end - allocation.begin;
  if (tracked) allocation.written = std::make_unique<uint8_t[]>(bytes);
  allocations()[allocation.begin] = std::move(allocation);
}

}  // namespace

void add_allocation(uint64_t begin, uint64_t bytes, std::string what, bool tracked) {
  std::lock_guard lock(mutex);
  add({begin, begin + bytes, begin, begin + bytes, std::move(what), nullptr}, tracked);
}

void add_part(uint64_t begin, uint64_t bytes, std::string what, bool tracked) {
  std::lock_guard lock(mutex);
  const Allocation* before = last_before(begin);
  if (!before || begin + bytes > before->whole_end) return;
  add({begin, begin + bytes, before->whole_begin, before->whole_end, std::move(what), nullptr},
      tracked);
}

void remove_allocation(uint64_t begin) {
  std::lock_guard lock(mutex);
  auto part = allocations().find(begin);
  while (part != allocations().end() && part->second.whole_begin == begin) {
    part = allocations().erase(part);
  }
}

Allocation* find_allocation(uint64_t address) {
  std::lock_guard lock(mutex);
  Allocation* allocation = last_before(address);
  return allocation && allocation->holds(address, 1) ? allocation : nullptr;
}

bool mark_written(uint64_t begin, uint64_t bytes) {
  std::lock_guard lock(mutex);
  const Allocation* first = last_before(begin);
  const uint64_t end = begin + bytes;
  if (!first || !first->holds(begin, 1) || end > first->whole_end) return false;
  for (auto part = allocations().find(first->begin);
       part != allocations().end() && part->first < end; ++part) {
    const Allocation& allocation = part->second;
    const uint64_t from = std::max(begin, allocation.begin), to = std::min(end, allocation.end);
    if (allocation.written && from < to) {
      memset(allocation.written.get() + (from - allocation.begin), 1, to - from);
    }
  }
  return true;
}

std::set<std::string>& unwritten_loads() {
  static std::set<std::string> lines;
  return lines;
}

std::string settle_allocations() {
  std::lock_guard lock(mutex);
  std::string lacking;
  for (auto& [begin, allocation] : allocations()) {
    if (!allocation.written) continue;
    const uint8_t* flags = allocation.written.get();
    const uint64_t bytes = allocation.end - begin;
    const uint64_t missing = static_cast<uint64_t>(std::count(flags, flags + bytes, 0));
    if (missing > 0) {
      const uint64_t first = static_cast<uint64_t>(std::find(flags, flags + bytes, 0) - flags);
      lacking += "a result of " + std::to_string(bytes) + " bytes has " + std::to_string(missing) +
                 " that nothing has written, from byte " + std::to_string(first) + " on\n";
    }
    allocation.written.reset();
  }
  return lacking;
}

}  // namespace ptx
