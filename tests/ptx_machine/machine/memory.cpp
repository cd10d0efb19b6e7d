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

}  // namespace

void add_allocation(uint64_t begin, uint64_t bytes, std::string what, bool tracked) {
  std::lock_guard lock(mutex);
  Allocation allocation{begin, begin + bytes, std::move(what), nullptr};
  if (tracked) allocation.written = std::make_unique<uint8_t[]>(bytes);
  allocations()[begin] = std::move(allocation);
}

void remove_allocation(uint64_t begin) {
  std::lock_guard lock(mutex);
  allocations().erase(begin);
}

Allocation* find_allocation(uint64_t address) {
  std::lock_guard lock(mutex);
  auto next = allocations().upper_bound(address);
  if (next == allocations().begin()) return nullptr;
  Allocation& allocation = std::prev(next)->second;
  return allocation.holds(address, 1) ? &allocation : nullptr;
}

bool mark_written(uint64_t begin, uint64_t bytes) {
  Allocation* allocation = find_allocation(begin);
  if (!allocation || !allocation->holds(begin, bytes)) return false;
  if (allocation->written)
    memset(allocation->written.get() + (begin - allocation->begin), 1, bytes);
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
